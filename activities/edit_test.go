package activities_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/decode"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
)

// keeper is a place for edits that says err.
type keeper struct{ err error }

func (k keeper) SaveEdit(context.Context, contract.SaveEditInput) (contract.SaveEditResult, error) {
	return contract.SaveEditResult{EditID: 5, From: contract.StepStore}, k.err
}

func (k keeper) ApplyEdit(context.Context, contract.ApplyEditInput) error { return k.err }

func TestSaveAndApplyEdit(t *testing.T) {
	t.Parallel()
	l, err := activities.NewEdits(keeper{})
	require.NoError(t, err)
	out, err := l.SaveEdit(t.Context(), contract.SaveEditInput{Email: email(1)})
	require.NoError(t, err)
	require.Equal(t, contract.SaveEditResult{EditID: 5, From: contract.StepStore}, out)
	require.NoError(t, l.ApplyEdit(t.Context(), contract.ApplyEditInput{Email: email(1), EditID: 5}))

	l, err = activities.NewEdits(keeper{fault.New(fault.RequestInvalid, "edit.to[0]: no")})
	require.NoError(t, err)
	out, err = l.SaveEdit(t.Context(), contract.SaveEditInput{Email: email(1)})
	requireCode(t, err, fault.RequestInvalid, false)
	require.Zero(t, out)
	requireCode(t, l.ApplyEdit(t.Context(), contract.ApplyEditInput{Email: email(1)}), fault.RequestInvalid, false)
	_, err = activities.NewEdits(nil)
	require.Error(t, err)
}

// An edited email is decoded again from the object store, where alone it is by then.
func TestStoreReadsTheBodyThroughAnEdit(t *testing.T) {
	t.Parallel()
	body := `{"eventId":"evt-1","rcpt":["support@y.example"],"subject":"cafÃ©"}`
	b := setupStore(t, body, decoded, activities.StoreConfig{})
	store, err := activities.NewStore(activities.StoreConfig{}, activities.StoreDeps{
		Ledger: b.books, Bodies: b.shelf, Objects: b.shelf, Decoder: decode.Decoder{},
	})
	require.NoError(t, err)
	in := contract.StoreInput{Email: email(len(body))}
	out, err := store.Store(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, contract.SchemaInvalid, out.Holds[0].Reason)
	require.Empty(t, b.books.manifest.Recipients)
	rawKey := b.books.manifest.RawKey

	b.books.body.Overlay = &contract.Edit{Charset: "utf-8", Fields: map[string]string{"eventId": "event_id", "rcpt": "recipient"}}
	for range 2 {
		out, err = store.Store(t.Context(), in)
		require.NoError(t, err)
		require.Empty(t, out.Holds)
		m := b.books.manifest
		require.Equal(t, []string{"support@y.example"}, m.Recipients)
		require.Equal(t, "café", m.Subject)
		require.Equal(t, rawKey, m.RawKey)
		require.Equal(t, b.books.body.Overlay, m.Overlay)
	}
	require.Equal(t, body, string(b.shelf.raw[rawKey]), "the original bytes stay")
}

func TestInspectHoldsNothingForADroppedAttachment(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach(scantest.EICAR())
	m.attach([]byte("minutes"))
	out, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, contract.Infected, out.Holds[0].Reason)
	m.manifest.Attachments = m.saved

	m.scans = nil
	m.manifest.Overlay = &contract.Edit{Drop: []string{m.saved[0].SHA256}}
	out, err = m.inspect(t)
	require.NoError(t, err)
	require.Empty(t, out.Holds)
	require.Equal(t, mail.Infected, m.saved[0].Verdict, "its verdict stays")
	require.NotEmpty(t, m.saved[0].Signature)
	require.Equal(t, mail.Clean, m.saved[1].Verdict)
	require.Equal(t, map[mail.Verdict]int{mail.Clean: 1}, out.Verdicts)
	require.Len(t, m.scans, 1, "it is not looked at again")

	m.manifest.Attachments[0].Verdict = ""
	_, err = m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, mail.Unscannable, m.saved[0].Verdict, "never looked at is never clean")
}

func TestRouteSeesTheEditedMail(t *testing.T) {
	t.Parallel()
	in := contract.RouteInput{Email: contract.Email{ID: 7, Tenant: "acme"}}
	kind := "invoice"
	for name, c := range map[string]struct {
		edit contract.Edit
		when config.When
		want contract.RouteResult
	}{
		"recipients": {
			contract.Edit{Recipients: []string{"support@acme.example"}}, config.When{Recipient: "support@*"},
			contract.RouteResult{Routes: []string{"r"}, Destinations: []string{"d"}},
		},
		"a header": {
			contract.Edit{Headers: map[string]*string{"X-Kind": &kind}}, config.When{Header: map[string]string{"x-kind": "invoice"}},
			contract.RouteResult{Routes: []string{"r"}, Destinations: []string{"d"}},
		},
		"the subject": {
			contract.Edit{Headers: map[string]*string{"subject": &kind}}, config.When{Subject: "invoice"},
			contract.RouteResult{Routes: []string{"r"}, Destinations: []string{"d"}},
		},
		"the target, where no rule has one": {
			contract.Edit{To: []string{"x", "y"}}, config.When{Subject: "none"},
			contract.RouteResult{Routes: []string{contract.RouteEdited}, Destinations: []string{"x", "y"}},
		},
		"the target, in place of a rule's": {
			contract.Edit{To: []string{"x"}}, config.When{},
			contract.RouteResult{Routes: []string{contract.RouteEdited}, Destinations: []string{"x"}},
		},
		"a target waives nothing": {
			contract.Edit{To: []string{"x"}, Recipients: []string{"a@evil.example"}}, config.When{},
			contract.RouteResult{
				Routes: []string{contract.RouteEdited}, Destinations: []string{"x"},
				Holds: []contract.Hold{{Reason: contract.RecipientForeign, Detail: "no recipient belongs to a domain of the tenant"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &routed{
				manifest: ledger.Manifest{Recipients: []string{"nobody@acme.example"}, Subject: "hello", Overlay: &c.edit},
				message:  &mail.Message{Subject: "hello"},
			}
			got, err := m.route(t, c.when, in)
			require.NoError(t, err)
			c.want.Routed.AtUnixMilli = noon().UnixMilli()
			require.Equal(t, c.want, got)
			require.Equal(t, []string{"nobody@acme.example"}, m.manifest.Recipients, "the original stays")
		})
	}
}

func TestDeliverSendsTheEditedMail(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	_, err := b.run(t.Context(), func(in *contract.DeliverInput) { in.Destination = "before" })
	require.NoError(t, err)
	require.NotContains(t, b.wire.bodies[0], `"edited"`)

	infected := b.books.manifest.Attachments[1]
	infected.SHA256 = hexOf([]byte("infected"))
	b.books.manifest.Attachments[1] = infected
	subject := "Corrected"
	b.books.manifest.Overlay = &contract.Edit{
		Recipients: []string{"sales@y.example"}, Headers: map[string]*string{"subject": &subject}, Drop: []string{infected.SHA256},
	}
	b.books.manifest.Edited = ledger.Edited{By: "olga", At: time.Date(2026, 11, 22, 13, 0, 0, 0, time.FixedZone("", 3600))}
	_, err = b.run(t.Context(), func(in *contract.DeliverInput) { in.Released = true })
	require.NoError(t, err)
	body := b.wire.bodies[1]
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, schemaOf(t).Validate(value))
	require.NotContains(t, body, "b.zip")
	require.NotContains(t, body, infected.SHA256)
	require.NotContains(t, body, "bb/x")
	var got struct {
		Recipients []string `json:"recipients"`
		Message    struct {
			Subject string        `json:"subject"`
			Headers []mail.Header `json:"headers"`
		} `json:"message"`
		Edited map[string]any `json:"edited"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, []string{"sales@y.example"}, got.Recipients)
	require.Equal(t, "Corrected", got.Message.Subject)
	require.Equal(t, []mail.Header{{Name: "subject", Value: "Corrected"}}, got.Message.Headers)
	require.Equal(t, map[string]any{
		"by": "olga", "at": "2026-11-22T12:00:00Z", "fields": []any{"recipients", "headers", "drop"},
	}, got.Edited)
	require.Len(t, b.books.manifest.Attachments, 3, "the manifest stays as it came")
}

// TestDestinationsReceiveTheTag: how each recipient is read is in the request, in their
// order, and is no content that a replay would send again for.
func TestDestinationsReceiveTheTag(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.books.manifest.Recipients = []string{"Support+VIP@y.example", `"the shop+a+b"@y.example`, "bob@y.example"}
	_, err := b.run(t.Context())
	require.NoError(t, err)
	details := requireSchema(t, b.wire.bodies[0])["recipient_details"]
	require.Equal(t, []any{
		map[string]any{"address": "Support+VIP@y.example", "mailbox": "Support@y.example", "tag": "VIP"},
		map[string]any{"address": `"the shop+a+b"@y.example`, "mailbox": `"the shop"@y.example`, "tag": "a+b"},
		map[string]any{"address": "bob@y.example", "mailbox": "bob@y.example", "tag": ""},
	}, details)
}

// TestHashOfContentOutlivesNewFields: a field that follows from others, added by a newer
// program, must not make a replay send all old mail again.
func TestHashOfContentOutlivesNewFields(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2570ec40211255b4911290b42ce51b6142f2087e305cf44481042e7a7db2ff7c", hex.EncodeToString(b.row().ContentSHA256))
}
