package preview_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/decode"
	"mailroom/shared/edit/preview"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// stored is one email in ledger and object store.
type stored struct {
	raw      []byte
	manifest ledger.Manifest
	stored   bool
	parsed   func() io.Reader // the message in the object store
	created  []ledger.NewEdit
	reads    int
}

func (d *stored) Body(context.Context, int64) (ledger.Body, error) {
	return ledger.Body{Key: "body/x", SHA256: sha256.Sum256(d.raw), Stored: d.stored, Overlay: d.manifest.Overlay}, nil
}

func (d *stored) Manifest(context.Context, int64) (*ledger.Manifest, error) {
	m := d.manifest
	return &m, nil
}

func (d *stored) CreateEdit(_ context.Context, e ledger.NewEdit) (int64, error) {
	d.created = append(d.created, e)
	return int64(len(d.created)), nil
}

func (d *stored) ReadAll(_ context.Context, b blob.Bucket, key string, limit int64, sum string) ([]byte, error) {
	d.reads++
	want := sha256.Sum256(d.raw)
	if b != blob.Raw || key != "body/x" || int64(len(d.raw)) > limit || sum != hex.EncodeToString(want[:]) {
		return nil, fault.New(fault.ContentLost, "no such object")
	}
	return d.raw, nil
}

// Get opens the parsed mail if the manifest names one.
func (d *stored) Get(_ context.Context, b blob.Bucket, key string) (io.ReadCloser, error) {
	if b != blob.Raw || key == "" || key != d.manifest.MessageKey {
		return nil, fault.New(fault.ContentLost, "no such object")
	}
	return io.NopCloser(d.parsed()), nil
}

// rules route every mail with a subject to ticketing.
type rules struct{}

func (rules) Route(_ contract.RouteInput, m *ledger.Manifest, _ *mail.Message) contract.RouteResult {
	switch {
	case m.Overlay != nil && len(m.Overlay.To) > 0:
		return contract.RouteResult{Destinations: m.Overlay.To}
	case m.Subject != "":
		return contract.RouteResult{Destinations: []string{"ticketing"}}
	}
	return contract.RouteResult{}
}

// setup stores body as the store step does.
func setup(t *testing.T, body string, with preview.Router) (*stored, *preview.Editor, contract.Email) {
	t.Helper()
	event, _ := decode.Decoder{}.Decode([]byte(body), nil)
	message, err := json.Marshal(event.Message)
	require.NoError(t, err)
	d := &stored{raw: []byte(body), stored: true, manifest: ledger.Manifest{
		EmailID: 7, RawKey: "body/x", Message: message, Subject: event.Message.Subject, Recipients: event.Recipients(),
		Attachments: event.Attachments,
	}}
	e, err := preview.New(preview.Config{Destinations: []config.Destination{
		{Name: "ticketing", Tenants: []string{"default"}}, {Name: "accounting", Tenants: []string{"acme", "default"}},
		{Name: "theirs", Tenants: []string{"acme"}},
	}}, preview.Deps{Ledger: d, Objects: d, Rules: with})
	require.NoError(t, err)
	return d, e, contract.Email{ID: 7, Tenant: "default", Size: int64(len(body))}
}

func TestPreviewOfTheTarget(t *testing.T) {
	t.Parallel()
	d, e, email := setup(t, `{"event_id":"e","subject":"Hi","recipient":["a@b.example"]}`, rules{})
	got, err := e.Preview(t.Context(), email, contract.Edit{To: []string{"accounting"}, Recipients: []string{"c@b.example"}})
	require.NoError(t, err)
	require.Equal(t, preview.Preview{
		Step: contract.StepRoute, Destinations: []string{"accounting"},
		Changes: []ledger.Change{
			{Field: "to", Before: "ticketing", After: "accounting"},
			{Field: "recipients", Before: "a@b.example", After: "c@b.example"},
		},
	}, got)
	require.Zero(t, d.reads, "the body is not read for this")
}

func TestPreviewDecodesAgain(t *testing.T) {
	t.Parallel()
	_, e, email := setup(t, `{"eventId":"e","title":"cafÃ©","rcpt":["a@b.example"]}`, rules{})
	got, err := e.Preview(t.Context(), email, contract.Edit{
		Charset: "utf-8", Fields: map[string]string{"eventId": "event_id", "title": "subject", "rcpt": "recipient"},
	})
	require.NoError(t, err)
	require.Equal(t, contract.StepStore, got.Step)
	require.Equal(t, []string{"ticketing"}, got.Destinations)
	require.Contains(t, got.Changes, ledger.Change{Field: "charset", After: "utf-8"})
	require.Contains(t, got.Changes, ledger.Change{Field: "fields.subject", Before: "subject", After: "title"})
	require.Contains(t, got.Changes, ledger.Change{Field: "headers.Subject", After: "café"})
	require.Contains(t, got.Changes, ledger.Change{Field: "recipients", After: "a@b.example"})
	require.Contains(t, got.Changes, ledger.Change{Field: "to", After: "ticketing"})
	var problems ledger.Change
	for _, c := range got.Changes {
		if c.Field == "problems" {
			problems = c
		}
	}
	require.Contains(t, problems.Before, "the event cannot be read")
	require.Empty(t, problems.After)
}

func TestPreviewIsLaidOverWhatWasAppliedBefore(t *testing.T) {
	t.Parallel()
	d, e, email := setup(t, `{"event_id":"e","subject":"Hi","recipient":["a@b.example"]}`, rules{})
	d.manifest.Overlay = &contract.Edit{Recipients: []string{"c@b.example"}}
	got, err := e.Preview(t.Context(), email, contract.Edit{Recipients: []string{"d@b.example"}})
	require.NoError(t, err)
	require.Equal(t, []ledger.Change{{Field: "recipients", Before: "c@b.example", After: "d@b.example"}}, got.Changes)
	require.Equal(t, []string{"ticketing"}, got.Destinations)
}

func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	d, e, email := setup(t, `{"event_id":"e"}`, rules{})
	_, err := e.Preview(t.Context(), email, contract.Edit{To: []string{"elsewhere"}})
	require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
	d.stored = false
	_, err = e.Preview(t.Context(), email, contract.Edit{To: []string{"ticketing"}})
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
	_, err = preview.New(preview.Config{}, preview.Deps{Ledger: d})
	require.Error(t, err)
}

func TestSaveEditKeepsWhatThePreviewShows(t *testing.T) {
	t.Parallel()
	d, e, email := setup(t, `{"event_id":"e","subject":"Hi","recipient":["a@b.example"]}`, rules{})
	edit := contract.Edit{To: []string{"accounting"}}
	got, err := e.SaveEdit(t.Context(), contract.SaveEditInput{Email: email, Edit: edit, Actor: "olga", Note: "why", Key: "k"})
	require.NoError(t, err)
	require.Equal(t, contract.SaveEditResult{EditID: 1, From: contract.StepRoute}, got)
	require.Equal(t, []ledger.NewEdit{{
		EmailID: 7, Edit: edit, Actor: "olga", Note: "why", Key: "k",
		Changes: []ledger.Change{{Field: "to", Before: "ticketing", After: "accounting"}},
	}}, d.created)

	_, err = e.SaveEdit(t.Context(), contract.SaveEditInput{Email: email})
	require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
	require.Len(t, d.created, 1, "what is refused is not kept")
}

// TestEditCannotNameAnotherTenantsDestination: an operator of one tenant must not send
// forged mail to the systems of another, under their own signing secret.
func TestEditCannotNameAnotherTenantsDestination(t *testing.T) {
	t.Parallel()
	d, e, email := setup(t, `{"event_id":"e","subject":"Hi","recipient":["a@b.example"]}`, rules{})
	_, err := e.Preview(t.Context(), email, contract.Edit{To: []string{"ticketing", "theirs"}})
	require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
	foreign := fault.From(err).Public
	_, err = e.Preview(t.Context(), email, contract.Edit{To: []string{"ticketing", "nowhere"}})
	require.Equal(t, foreign, fault.From(err).Public, "whether another tenant's destination exists is not told")
	_, err = e.SaveEdit(t.Context(), contract.SaveEditInput{Email: email, Edit: contract.Edit{To: []string{"theirs"}}, Key: "k"})
	require.True(t, fault.Is(err, fault.RequestInvalid), "an edit that comes with a signal is checked as well: %v", err)
	require.Empty(t, d.created)
	require.Equal(t, []string{"ticketing", "accounting"}, e.Destinations("default"))
	require.Empty(t, e.Destinations("nobody"))
}

// letters is an endless text.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestMailAboveThirtyTwoMebibytesCanBeEdited: the preview of such a mail failed, and
// with it the edit, because its texts exceeded the memory limit.
func TestMailAboveThirtyTwoMebibytesCanBeEdited(t *testing.T) {
	t.Parallel()
	subject := "Corrected"
	for name, row := range map[string]struct {
		size    int64 // of the raw body
		text    int64
		headers string
		edit    contract.Edit
		want    []ledger.Change
	}{
		"a large body": {40 << 20, 40 << 20, `{"name":"X-Kind","value":"old"}`,
			contract.Edit{Headers: map[string]*string{"X-Kind": nil, "Subject": &subject}}, []ledger.Change{
				{Field: "headers.Subject", Before: "Hi", After: "Corrected"}, {Field: "headers.X-Kind", Before: "old"},
			}},
		"a small body that parses to much": {1 << 20, 40 << 20, `{"name":"X-Kind","value":"old"}`,
			contract.Edit{Charset: "utf-8", To: []string{"accounting"}}, []ledger.Change{
				{Field: "charset", After: "utf-8"}, {Field: "to", Before: "ticketing", After: "accounting"},
			}},
		"headers beyond what is shown": {40 << 20, 1, strings.Repeat(`{"name":"X-Kind","value":"old"},`, 1<<19) + `{"name":"a","value":"b"}`,
			contract.Edit{Recipients: []string{"c@b.example"}}, []ledger.Change{{Field: "recipients", Before: "a@b.example", After: "c@b.example"}}},
	} {
		d, e, email := setup(t, `{"event_id":"e","subject":"Hi","recipient":["a@b.example"]}`, rules{})
		d.manifest.Message, d.manifest.MessageKey = nil, "message/7/x"
		d.parsed = func() io.Reader {
			return io.MultiReader(strings.NewReader(`{"subject":"Hi","text":"`), io.LimitReader(letters{}, row.text),
				strings.NewReader(`","headers":[`+row.headers+`]}`))
		}
		email.Size = row.size
		got, err := e.SaveEdit(t.Context(), contract.SaveEditInput{Email: email, Edit: row.edit, Key: "k"})
		require.NoError(t, err, name)
		require.EqualValues(t, 1, got.EditID, name)
		require.ElementsMatch(t, row.want, d.created[0].Changes, name)
	}
}
