package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

const decisions = "/emails/evt_0001/decisions?source=mailparse"

// decision is a form as the page sends it after the confirmation.
func (b *bundle) decision(change ...string) url.Values {
	v := url.Values{"action": {"approve"}, "note": {"a test file"}, "seen": {seen(b.emails.emails[0])}, "confirmed": {"yes"}}
	for i := 0; i+1 < len(change); i += 2 {
		v.Set(change[i], change[i+1])
	}
	return v
}

func TestDecide(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rec := b.post(t, ada, decisions, b.decision("note", "a test file\r\nof ours"))
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	require.Equal(t, "/emails/evt_0001?source=mailparse&done=approve", rec.Header().Get("Location"))
	require.Equal(t, []decision.Request{{Action: contract.Approve, Note: "a test file\nof ours"}}, b.decisions.seen())
	require.Equal(t, []string{"ada"}, b.decisions.who)
	require.Contains(t, b.get(t, ada, rec.Header().Get("Location")).Body.String(), "Approved.")
}

func TestDecideAsksFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rec := b.post(t, ada, decisions, b.decision("confirmed", "", "action", "discard", "note", `because "x" <b>`))
	require.Equal(t, http.StatusOK, rec.Code)
	require.Empty(t, b.decisions.seen(), "nothing is decided unasked")
	page := rec.Body.String()
	check(t, "confirm", page)
	for _, field := range []string{`name="confirmed" value="yes"`, `value="because &#34;x&#34; &lt;b&gt;"`, `value="discard"`} {
		require.Contains(t, page, field)
	}
}

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		form   []string
		err    error
		status int
		says   string
	}{
		"no note":           {[]string{"note", " \n"}, nil, 400, "The note must say why"},
		"control character": {[]string{"note", "a\x00"}, nil, 400, "control characters"},
		"long note":         {[]string{"note", strings.Repeat("x", contract.MaxNote+1)}, nil, 400, "The note has at most"},
		"another hold":      {[]string{"seen", "quarantined/unroutable/0"}, nil, 409, "ada retried it at 07:40 UTC (25 Nov 2026) through the console"},
		"no hold":           {[]string{"seen", ""}, nil, 409, "has changed since you looked"},
		"unknown action":    {[]string{"action", "delete"}, nil, 400, "approve, retry, hold or discard"},
		"edit without one":  {[]string{"action", "edit"}, nil, 400, "approve, retry, hold or discard"},
		"second":            {nil, fault.New(fault.DecisionRefused, "grace discarded it at 08:00"), 409, "grace discarded it at 08:00"},
		"no Temporal":       {nil, fault.New(fault.TemporalUnavailable, "Temporal does not answer"), 503, "Temporal does not answer"},
		"role":              {nil, fault.New(fault.Forbidden, "not for this tenant"), 403, "not for this tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.decisions.err = row.err
			rec := b.post(t, ada, decisions, b.decision(row.form...))
			require.Equal(t, row.status, rec.Code, rec.Body)
			require.Contains(t, rec.Body.String(), row.says)
			check(t, name, rec.Body.String())
			if row.err == nil {
				require.Empty(t, b.decisions.seen())
			} else {
				require.Contains(t, rec.Body.String(), ">a test file</textarea>", "what was typed stays")
			}
		})
	}
	b := setup(t)
	rec := b.post(t, ada, decisions, b.decision("note", strings.Repeat("x", maxForm)))
	require.Equal(t, http.StatusBadRequest, rec.Code)
}

// TestDecideAboutAnEmailThatWaits: it can be tried now, held, edited and discarded, by
// operators alone, and not approved.
func TestDecideAboutAnEmailThatWaits(t *testing.T) {
	t.Parallel()
	waiting := func(t *testing.T) *bundle {
		b := setup(t)
		b.emails.emails[0].State, b.emails.emails[0].Reason = contract.Retrying, contract.DownstreamUnavailable
		return b
	}
	const page = "/emails/evt_0001?source=mailparse"
	b := waiting(t)
	shown := b.get(t, ada, page).Body.String()
	check(t, "waiting", shown)
	for _, one := range []string{`value="retry"`, `value="hold"`, `value="discard"`, ">Try now ", `data-confirm-title="Try this email now?"`, "/edit?source=mailparse"} {
		require.Contains(t, shown, one)
	}
	require.NotContains(t, shown, `value="approve"`)
	require.Equal(t, http.StatusOK, b.get(t, ada, "/emails/evt_0001/edit?source=mailparse").Code)
	require.NotContains(t, b.get(t, vera, page).Body.String(), `value="retry"`)
	require.Contains(t, b.get(t, vera, page).Body.String(), "needs the operator role")

	for action, says := range map[contract.Action]string{
		contract.Retry: "The next attempt is made now.", contract.Held: "goes on once it is approved", contract.Discard: "Discarded.",
	} {
		b := waiting(t)
		rec := b.post(t, ada, decisions, b.decision("action", string(action)))
		require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
		require.Equal(t, []decision.Request{{Action: action, Note: "a test file"}}, b.decisions.seen())
		require.Contains(t, b.get(t, ada, rec.Header().Get("Location")).Body.String(), says)
	}

	for name, form := range map[string][]string{"approve": {}, "another state": {"action", "retry", "seen", "quarantined/infected/0"}} {
		b := waiting(t)
		rec := b.post(t, ada, decisions, b.decision(form...))
		require.Equal(t, http.StatusConflict, rec.Code, name)
		require.Contains(t, rec.Body.String(), "nothing was decided", name)
		require.Empty(t, b.decisions.seen(), name)
	}
}

func TestDecideNeedsAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.decisions.result = contract.DecisionResult{State: contract.Quarantined, Missing: 1}
	rec := b.post(t, ada, decisions, b.decision())
	require.Equal(t, "/emails/evt_0001?source=mailparse&done=counted", rec.Header().Get("Location"))
	require.Contains(t, b.get(t, ada, rec.Header().Get("Location")).Body.String(), "Another person has to approve")
}

func TestEdit(t *testing.T) {
	t.Parallel()
	const path = "/emails/evt_0001/edit?source=mailparse"
	b := setup(t)
	form := url.Values{"seen": {seen(b.emails.emails[0])}, "to": {"ticketing"}, "recipients": {"support@yourapp.example\r\n\r\nx@yourapp.example"},
		"headers": {"Subject: New: words\nX-Old:\nX-Gone"}, "fields": {"rcpt = recipient"}, "charset": {"utf-8"}, "drop": {strings.Repeat("b", 64)}}
	rec := b.post(t, ada, path, form)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	require.Empty(t, b.decisions.seen(), "a preview decides nothing")
	page := rec.Body.String()
	check(t, "edit", page)
	for _, says := range []string{"suppport@yourapp.example", "What it changes", `value="ticketing" checked`, `value="` + strings.Repeat("b", 64) + `" checked`} {
		require.Contains(t, page, says)
	}
	form.Set("confirmed", "yes")
	rec = b.post(t, ada, path, form)
	require.Equal(t, http.StatusBadRequest, rec.Code, "a note is asked for")
	form.Set("note", "a typo in the address")
	rec = b.post(t, ada, path, form)
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	subject := "New: words"
	require.Equal(t, []decision.Request{{Action: contract.Edited, Note: "a typo in the address", Edit: &contract.Edit{
		To: []string{"ticketing"}, Recipients: []string{"support@yourapp.example", "x@yourapp.example"},
		Headers: map[string]*string{"Subject": &subject, "X-Old": nil, "X-Gone": nil}, Charset: "utf-8",
		Drop: []string{strings.Repeat("b", 64)}, Fields: map[string]string{"rcpt": "recipient"},
	}}}, b.decisions.seen())

	for name, change := range map[string][]string{
		"The edit changes nothing.":      {},
		"recipients[0] is no address":    {"recipients", "bad"},
		"each line is a name":            {"headers", "X: 1\nX: 2"},
		"each line is what the provider": {"fields", "nothing"},
	} {
		v := url.Values{"seen": {seen(b.emails.emails[0])}}
		if len(change) > 0 {
			v.Set(change[0], change[1])
		}
		rec := b.post(t, ada, path, v)
		require.Equal(t, http.StatusBadRequest, rec.Code, name)
		require.Contains(t, rec.Body.String(), name)
	}
	require.Equal(t, http.StatusConflict, b.post(t, ada, path, url.Values{"seen": {"old"}, "recipients": {"x@y.example"}}).Code)
	require.Equal(t, http.StatusConflict, b.get(t, ada, "/emails/evt_0003/edit").Code, "what is not held is not edited")
}

func TestBulk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get(t, ada, "/inbox?reason=unroutable").Body.String()
	require.Contains(t, page, `href="/replays/new?reason=unroutable&amp;state=held"`)
	require.Contains(t, page, `s-quarantined">held</span>`)
	form := url.Values{"reason": {"unroutable"}, "state": {"held"}, "action": {"retry"}, "rate": {"50"}, "note": {"the route is mended"}, "from": {"held"}, "step": {"plan"}}
	rec := b.post(t, ada, "/replays", form)
	require.Equal(t, http.StatusSeeOther, rec.Code)
	require.Equal(t, "/replays/8", rec.Header().Get("Location"))
	require.Empty(t, b.fakes.started, "counting starts nothing")
	fifty := 50.0
	require.Equal(t, []batch.Request{{Filter: batch.Filter{State: contract.Quarantined, Reason: contract.Unroutable}, Action: contract.Retry,
		Rate: &fifty, Note: "the route is mended", DryRun: true}}, b.fakes.planned)

	// While it counts there is nothing to start, and the page follows.
	rec = b.get(t, ada, "/replays/8")
	require.Contains(t, rec.Body.String(), `data-live="replays"`)
	require.NotContains(t, rec.Body.String(), "/start")
	check(t, "counting", rec.Body.String())
	require.Equal(t, http.StatusConflict, b.post(t, ada, "/replays/8/start", url.Values{"count": {"431"}}).Code)

	page = b.get(t, ada, "/replays/7").Body.String()
	require.Contains(t, page, "<dt>Became</dt><dd>Held: 70, Delivered: 120")
	require.Contains(t, page, "<dt>Held for</dt><dd>Unroutable: 70</dd>")
	require.Contains(t, page, `<td data-label="Sent" class="num">2</td>`)
	for path, want := range map[string]string{"/replays": "/replays/7", "/replays?dry_runs=true": "/replays/8"} {
		var listed []string
		for _, m := range regexp.MustCompile(`class="row" id="replay-\d+" href="([^"]+)"`).FindAllStringSubmatch(b.get(t, ada, path).Body.String(), -1) {
			listed = append(listed, m[1])
		}
		require.Equal(t, []string{want}, listed, path)
	}

	b.fakes.counted = true
	rec = b.get(t, ada, "/replays/8")
	require.Contains(t, rec.Body.String(), "Type 431")
	require.Regexp(t, `<dt>Waiting</dt><dd>7: they are `, rec.Body.String())
	require.NotContains(t, rec.Body.String(), `data-live="replays"`, "what is typed is not swapped away")
	check(t, "plan", rec.Body.String())
	for _, wrong := range []string{"", "430", "4310", "-431", "x"} {
		rec = b.post(t, ada, "/replays/8/start", url.Values{"count": {wrong}})
		require.Equal(t, http.StatusConflict, rec.Code, wrong)
		require.Contains(t, rec.Body.String(), "Nothing was started")
		check(t, "wrong number", rec.Body.String())
	}
	require.Equal(t, http.StatusConflict, b.post(t, ada, "/replays/7/start", url.Values{"count": {"431"}}).Code, "what runs is not started")
	require.Empty(t, b.fakes.started)
	rec = b.post(t, ada, "/replays/8/start", url.Values{"count": {" 431 "}})
	require.Equal(t, http.StatusSeeOther, rec.Code)
	require.Equal(t, "/replays/7?done=start", rec.Header().Get("Location"))
	require.Equal(t, []string{"ada 8 431"}, b.fakes.started)

	// An operator that comes back to it finds what was started; a repeat leads there too.
	b.fakes.startedAs = 7
	rec = b.get(t, ada, "/replays/8")
	require.Contains(t, rec.Body.String(), `href="/replays/7"`)
	require.NotContains(t, rec.Body.String(), "/start")
	check(t, "started", rec.Body.String())
	require.Equal(t, "/replays/7?done=start", b.post(t, ada, "/replays/8/start", url.Values{"count": {"431"}}).Header().Get("Location"))
	require.Equal(t, http.StatusNotFound, b.post(t, olga, "/replays/8/start", url.Values{"count": {"431"}}).Code)
	require.Equal(t, http.StatusForbidden, b.post(t, vera, "/replays/8/start", url.Values{"count": {"431"}}).Code)

	for says, change := range map[string][]string{
		"The rate is a number":      {"rate", "0"},
		"The note must say why":     {"note", ""},
		"Choose what to do":         {"action", "delete"},
		"everything is no choice":   {"reason", "", "state", ""},
		"There is no such reason":   {"reason", "nonsense"},
		"A time is written as 2026": {"since", "yesterday"},
	} {
		v := url.Values{}
		for name, values := range form {
			v[name] = values
		}
		for i := 0; i+1 < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		rec := b.post(t, ada, "/replays", v)
		require.Equal(t, http.StatusBadRequest, rec.Code, says)
		require.Contains(t, rec.Body.String(), says)
	}
	require.Len(t, b.fakes.planned, 1)

	b.fakes.err = fault.New(fault.RequestInvalid, "a reason must say what is approved")
	form.Set("action", "approve")
	form.Del("reason")
	rec = b.post(t, ada, "/replays", form)
	require.Equal(t, http.StatusBadRequest, rec.Code)
	require.Contains(t, rec.Body.String(), "a reason must say what is approved")
	require.Contains(t, rec.Body.String(), "the route is mended", "what was typed is there still")
}

func TestSteerReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, verb := range []string{"pause", "resume", "stop"} {
		require.Equal(t, http.StatusSeeOther, b.post(t, ada, "/replays/7/"+verb, nil).Code)
	}
	require.Equal(t, http.StatusNotFound, b.post(t, ada, "/replays/7/delete", nil).Code)
	require.Equal(t, http.StatusNotFound, b.post(t, ada, "/replays/9/stop", nil).Code)
	require.Equal(t, http.StatusNotFound, b.post(t, olga, "/replays/7/stop", nil).Code)
	require.Equal(t, []string{"pause", "resume", "stop"}, b.fakes.steered)
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, http.StatusBadRequest, b.post(t, ada, "/destinations/crm/resume", nil).Code, "a note is asked for")
	require.Equal(t, http.StatusSeeOther, b.post(t, ada, "/destinations/crm/resume", url.Values{"note": {"done"}}).Code)
	require.Equal(t, http.StatusSeeOther, b.post(t, ada, "/destinations/ticketing/pause", url.Values{"note": {"they ask"}}).Code)
	require.Equal(t, http.StatusNotFound, b.post(t, ada, "/destinations/crm/delete", url.Values{"note": {"x"}}).Code)
	require.Equal(t, []string{"resume crm via console", "pause ticketing via console"}, b.fakes.paused)
	b.fakes.err = fault.New(fault.NotFound, "no such destination")
	require.Equal(t, http.StatusNotFound, b.post(t, ada, "/destinations/none/pause", url.Values{"note": {"x"}}).Code)
}

func TestRulesTester(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rec := b.post(t, vera, "/routes", url.Values{"recipients": {"support@yourapp.example"}, "headers": {"X-Case: 1"}})
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), "Goes to")
	check(t, "tester", rec.Body.String())
	rec = b.post(t, vera, "/routes", url.Values{"recipients": {"nobody@elsewhere.example"}})
	require.Contains(t, rec.Body.String(), "Held: Recipient foreign")
	require.Equal(t, http.StatusBadRequest, b.post(t, vera, "/routes", url.Values{}).Code)
	require.Equal(t, http.StatusBadRequest, b.post(t, vera, "/routes", url.Values{"recipients": {"x"}, "headers": {"none"}}).Code)
}

// TestFilters sees that a choice of emails survives its way through a link.
func TestFilters(t *testing.T) {
	t.Parallel()
	f := ledger.Filter{State: contract.Quarantined, Reason: contract.Unroutable, Source: "s", Tenant: "t", Sender: "a", Recipient: "b", Destination: "d",
		Since: at, Until: at.Add(time.Hour), Query: "q&=", Limit: ledger.DefaultLimit}
	back, err := filterOf(queryOf(f))
	require.NoError(t, err)
	require.Equal(t, f, back)
	exact := ledger.Filter{Until: time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)}
	require.Equal(t, [][2]string{{"Until", "2026-01-02 03:04:05 UTC"}}, choiceOf(exact), "people read no microseconds")
	for _, v := range []url.Values{{"q": {"a", "b"}}, {"q": {"a\x00"}}, {"q": {strings.Repeat("x", maxField+1)}}, {"state": {"gone"}}, {"until": {"now"}}} {
		_, err := filterOf(v)
		require.True(t, fault.Is(err, fault.RequestInvalid), "%v", v)
	}
}

func TestWaitingForMorePeople(t *testing.T) {
	t.Parallel()
	approval := func(actor string, missing int) ledger.DecisionRow {
		return ledger.DecisionRow{Action: contract.Approve, Actor: actor, Missing: missing, At: at, Verified: !strings.HasSuffix(actor, "(claimed)")}
	}
	for name, row := range map[string]struct {
		missing   int
		decisions []ledger.DecisionRow
		says      string
	}{
		"one is enough":        {0, []ledger.DecisionRow{approval("ada", 0)}, ""},
		"no person yet":        {2, nil, "2 people have to approve before the email goes on."},
		"one of two":           {1, []ledger.DecisionRow{approval("ada", 1)}, "1 of 2 people have approved; ada did."},
		"one is claimed":       {1, []ledger.DecisionRow{approval("ada", 1), approval("eve (claimed)", 1)}, "1 of 2 people have approved; ada did."},
		"two of three":         {1, []ledger.DecisionRow{approval("ada", 2), approval("bob", 1)}, "2 of 3 people have approved; ada and bob did."},
		"one of a hold before": {2, []ledger.DecisionRow{approval("ada", 1), approval("bob", 0)}, "2 people have to approve before the email goes on."},
	} {
		email := &ledger.EmailDetail{EmailRow: ledger.EmailRow{State: contract.Quarantined, ApprovalsMissing: row.missing}, Decisions: row.decisions}
		require.Equal(t, row.says, waiting(email), name)
		email.State = contract.Delivered
		require.Empty(t, waiting(email), name)
	}
	b := setup(t)
	b.emails.emails[0].ApprovalsMissing, b.emails.emails[0].Decisions = 1, []ledger.DecisionRow{approval("bob", 1)}
	require.Contains(t, b.get(t, ada, "/emails/evt_0001").Body.String(), "1 of 2 people have approved; bob did.")
}

// The page that confirms without JavaScript said of malware what it said of all mail.
func TestTheConfirmationRepeatsTheWarning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.post(t, ada, decisions, b.decision("confirmed", "")).Body.String()
	require.Contains(t, page, "<p>Approving releases the malware to the destinations.</p>")
	require.Contains(t, page, `value="approve" class="danger">Yes, approve`)
}

// Approve was the first button, in the colour of the one to press, also for malware.
func TestTheButtonsFollowTheAdvice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, want := range map[string][]string{
		"/emails/evt_0001?source=mailparse": {"discard: danger", "retry: secondary", "edit: secondary", "approve: secondary danger"}, // infected
		"/emails/evt_0002?source=mailparse": {"retry: ", "edit: secondary", "approve: secondary", "discard: secondary danger"},       // unroutable
	} {
		page := b.get(t, ada, path).Body.String()
		var got []string
		for _, p := range regexp.MustCompile(`(?s)<p>(<button name="action" value="|<a class="button )([a-z ]*)"[^>]*?(?: class="([a-z ]*)")? aria-describedby="does-([a-z]+)"`).FindAllStringSubmatch(page, -1) {
			class := p[3]
			if p[4] == "edit" {
				class = p[2]
			}
			got = append(got, p[4]+": "+class)
		}
		require.Equal(t, want, got, path)
	}
}
