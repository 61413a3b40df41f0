package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/testenv"
)

// TestOneEmail follows emails that meet nothing unusual. The subtests share a world.
func TestOneEmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	t.Run("shape A with raw mail", func(t *testing.T) { t.Parallel(); w.in(t).rawMail() })
	t.Run("shape B with an attachment", func(t *testing.T) { t.Parallel(); w.in(t).inline() })
	t.Run("two destinations", func(t *testing.T) { t.Parallel(); w.in(t).twoDestinations() })
	t.Run("large", func(t *testing.T) { t.Parallel(); w.in(t).large() })
	t.Run("fifty copies at once and one after", func(t *testing.T) { t.Parallel(); w.in(t).copies() })
	t.Run("another body under the same id", func(t *testing.T) { t.Parallel(); w.in(t).conflict() })
	t.Run("ten thousand recipients", func(t *testing.T) { t.Parallel(); w.in(t).manyRecipients() })
	t.Run("NUL and empty attachment", func(t *testing.T) { t.Parallel(); w.in(t).oddities() })
	t.Run("an id that needs escaping", func(t *testing.T) { t.Parallel(); w.in(t).oddID() })
}

// request is what a destination received.
type request struct {
	Schema  string `json:"schema"`
	EventID string `json:"event_id"`
	Message struct {
		Subject string `json:"subject"`
		Text    string `json:"text"`
	} `json:"message"`
	Attachments []struct {
		Filename string `json:"filename"`
		SHA256   string `json:"sha256"`
		Verdict  string `json:"verdict"`
		URL      string `json:"url"`
	} `json:"attachments"`
	LoopMark            string          `json:"loop_mark"`
	Reported            json.RawMessage `json:"reported"`
	PossibleDuplicateOf string          `json:"possible_duplicate_of"`
}

func (w *world) received(eventID string) request {
	w.t.Helper()
	var report struct {
		List []struct {
			Body request `json:"body"`
		} `json:"list"`
	}
	w.sink(http.MethodGet, "/effects?event_id="+url.QueryEscape(eventID), nil, &report)
	require.NotEmpty(w.t, report.List)
	return report.List[0].Body
}

// download follows a link as a destination would, without credentials.
func (w *world) download(link string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, link, nil)
	require.NoError(w.t, err)
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(w.t, http.StatusOK, res.StatusCode)
	b, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	return b
}

func (w *world) rawMail() {
	id := newID()
	raw := rawMail("from the raw mail")
	w.accept(shapeA(id, "support").with(fields{"raw_mime_base64": base64.StdEncoding.EncodeToString(raw)}).json())
	e := w.until(id, "delivered")
	require.Equal(w.t, "from the raw mail", e.Subject, "the mail itself is the better source")
	require.Len(w.t, e.Attachments, 1)
	require.Equal(w.t, "clean", e.Attachments[0].Verdict)
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
	got := w.received(id)
	require.Equal(w.t, "mailroom.email.v1", got.Schema)
	require.Contains(w.t, got.Message.Text, "café")
	require.Equal(w.t, "a,b,c\n1,2,3\n", string(w.download(got.Attachments[0].URL)))
	require.Equal(w.t, 1, e.Deliveries[0].Attempts)
}

func (w *world) inline() {
	id, content := newID(), []byte("plain words\n")
	w.accept(shapeB(id, "support").with(fields{"attachments": []any{fields{
		"filename": canaryFile, "contentType": "text/plain", "size": len(content), "dataBase64": base64.StdEncoding.EncodeToString(content),
	}}}).json())
	e := w.until(id, "delivered")
	sum := sha256.Sum256(content)
	require.Equal(w.t, hex.EncodeToString(sum[:]), e.Attachments[0].SHA256)
	require.Equal(w.t, content, w.download(w.received(id).Attachments[0].URL))
	require.NotEmpty(w.t, e.ClosedAt)
}

func (w *world) twoDestinations() {
	id := newID()
	w.accept(shapeA(id, "both").json())
	w.until(id, "delivered")
	require.Equal(w.t, map[string]int{"/tickets": 1, "/invoices": 1}, w.effects(id))
}

func (w *world) large() {
	id := newID()
	content := make([]byte, 3<<20)
	w.accept(shapeA(id, "support").with(fields{"attachments": []any{attached("big.bin", "application/octet-stream", content)}}).json())
	w.until(id, "delivered")
	require.Equal(w.t, content, w.download(w.received(id).Attachments[0].URL))
}

func (w *world) copies() {
	body := shapeA(newID(), "support").json()
	var wg sync.WaitGroup
	answers := make([]answer, 50)
	start := make(chan struct{})
	for i := range answers {
		wg.Go(func() {
			<-start
			answers[i], _ = w.tryPost(body)
		})
	}
	close(start)
	wg.Wait()
	first := 0
	for _, a := range answers {
		require.Equal(w.t, http.StatusOK, a.Status)
		if !a.Duplicate {
			first++
		}
	}
	require.Equal(w.t, 1, first)
	w.until(answers[0].ID, "delivered")
	after := w.post(body)
	require.Equal(w.t, http.StatusOK, after.Status)
	require.True(w.t, after.Duplicate)
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(answers[0].ID))
}

// listed finds an email by its workflow ID among those with a reason.
func (w *world) listed(reason, eventID string) []email {
	w.t.Helper()
	var out struct {
		Emails []email `json:"emails"`
	}
	require.Equal(w.t, http.StatusOK, w.api(http.MethodGet, "/emails?limit=100&reason="+reason, nil, &out))
	var found []email
	for _, e := range out.Emails {
		if e.EventID == eventID {
			found = append(found, e)
		}
	}
	return found
}

func (w *world) conflict() {
	id := newID()
	w.accept(shapeA(id, "support").json())
	second := shapeA(id, "support").with(fields{"text": "something else"}).json()
	require.False(w.t, w.post(second).Duplicate)
	require.True(w.t, w.post(second).Duplicate, "a copy of the second is a duplicate of it")
	w.until(id, "delivered")
	var held []email
	testenv.Eventually(w.t, func() bool {
		held = w.listed("id_conflict", id)
		return len(held) == 1 && held[0].State == "quarantined"
	}, patience, tick)
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
	require.NotEqual(w.t, id, held[0].WorkflowID)
	w.decide(held[0].WorkflowID, "discard")
	w.until(held[0].WorkflowID, "discarded")
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
}

func (w *world) manyRecipients() {
	id := newID()
	to := make([]string, 10_000)
	for i := range to {
		to[i] = newID() + "@elsewhere.example"
	}
	to[9_999] = "support@yourapp.example"
	f := shapeA(id, "support").with(fields{"recipient": to})
	f["envelope"] = fields{"mail_from": "a@elsewhere.example", "rcpt_to": to}
	w.accept(f.json())
	w.until(id, "delivered")
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
}

func (w *world) oddities() {
	id := newID()
	w.accept(shapeA(id, "support").with(fields{
		"subject": "nul \x00 here", "text": "\x00", "attachments": []any{attached("empty.txt", "text/plain", nil)},
	}).json())
	w.until(id, "delivered")
	require.NotContains(w.t, w.received(id).Message.Subject, "\x00")
}

func (w *world) oddID() {
	id := "evt/../ä ?" + newID()
	w.accept(shapeA(id, "support").json())
	e := w.until(id, "delivered")
	require.NotEqual(w.t, id, e.WorkflowID)
	_, err := w.tc.DescribeWorkflowExecution(w.t.Context(), e.WorkflowID, "")
	require.NoError(w.t, err)
}

// TestWebUIFindsHeldMail finds held mail through Temporal alone, as an operator with only
// its Web UI does.
func TestWebUIFindsHeldMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := newID()
	w.accept(shapeA(id, "support").with(fields{"attachments": []any{attached("x.zip", "application/zip", zipped("e.com", eicar(), false))}}).json())
	w.until(id, "quarantined")
	testenv.Eventually(t, func() bool {
		found, err := w.tc.CountWorkflow(t.Context(), countRequest(w, `MailState = "quarantined" AND MailReason = "infected"`))
		return err == nil && found.GetCount() == 1
	}, patience, tick)
	meta := w.run("temporal", append([]string{"workflow", "metadata", "--workflow-id", id}, w.codecFlags(operatorToken)...)...)
	require.Contains(t, meta, "approve")
	require.Contains(t, meta, "infected")
	w.run("temporal", "workflow", "signal", "--workflow-id", id, "--name", "approve", "--input", `{"actor":"grace","note":"a test file"}`)
	e := w.until(id, "delivered")
	require.Equal(t, "grace (claimed)", e.Decisions[0].Actor)
	require.Equal(t, "signal", e.Decisions[0].Via)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
	var out json.RawMessage
	require.NoError(t, w.tc.GetWorkflow(t.Context(), id, "").Get(t.Context(), &out))
	require.Equal(t, http.StatusConflict, w.api(http.MethodPost, "/emails/"+id+"/decisions", map[string]string{"action": "discard", "note": "late"}, nil))
	err := w.tc.SignalWorkflow(t.Context(), id, "", "approve", nil)
	require.Error(t, err, "no workflow receives a late signal")
}
