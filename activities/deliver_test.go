package activities_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// wire is a Sender whose answers are scripted.
type wire struct {
	careless bool // the destination does not honour the key
	answers  []func(call func() error) (int, error)
	bodies   []string
	keys     []string
	calls    int
	slow     bool // the destination has not shown to be quick
	full     bool // no place is free for a fast call
	reserved int  // places that are taken
	resumed  time.Time

	askedAt, askedUntil time.Time

	probe bool // of the last call of Send

	sending context.Context //nolint:containedctx // of the last call of Send
}

func (w *wire) HonoursKey(string) bool { return !w.careless }

func (w *wire) Quick(string) bool { return !w.slow }

func (w *wire) WakenAt(string) time.Time { return w.resumed }

func (w *wire) Asked(string) (at, until time.Time) { return w.askedAt, w.askedUntil }

func (w *wire) AskAgain(string) time.Duration { return askAgain }

func (w *wire) Admit(string) (func(), error) {
	if w.full {
		return nil, fault.New(fault.Overloaded, "full").After(time.Second)
	}
	w.reserved++
	return func() { w.reserved-- }, nil
}

func (w *wire) Reserve(string) (func(), bool) {
	if w.full {
		return nil, false
	}
	w.reserved++
	return func() { w.reserved-- }, true
}

func (*wire) Serves(string, string) bool { return true }

func (w *wire) Send(ctx context.Context, _ contract.Email, d ledger.Delivery, body func(context.Context) ([]byte, error)) (int, error) {
	next := w.answers[0]
	w.sending, w.probe = ctx, d.Probe
	w.answers = w.answers[1:]
	return next(func() error {
		content, err := body(ctx)
		if err != nil {
			return err
		}
		w.calls++
		w.bodies = append(w.bodies, string(content))
		w.keys = append(w.keys, d.IdempotencyKey)
		return nil
	})
}

// answers is a call that is made and ends so.
func answers(status int, f *fault.Error) func(func() error) (int, error) {
	return func(call func() error) (int, error) {
		if err := call(); err != nil {
			return 0, err
		}
		if f == nil {
			return status, nil
		}
		return status, f
	}
}

// withheld is a call that is not made.
func withheld(f *fault.Error) func(func() error) (int, error) {
	return func(func() error) (int, error) { return 0, f }
}

// askAgain is how long deliveries rest before they ask for a resume.
const askAgain = 15 * time.Second

type deliverBench struct {
	*activities.Deliver
	books *books
	shelf *shelf
	wire  *wire
	now   time.Time
}

func setupDeliver(t *testing.T, answers ...func(func() error) (int, error)) *deliverBench {
	t.Helper()
	sum := hexOf([]byte("x"))
	message, err := json.Marshal(mail.Message{
		MessageID: "<m@x>", Subject: "Hello <you>", From: []mail.Address{{Name: "Ann", Address: "ann@x.example"}},
		Date: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Text: "text", HTML: "<p>html</p>",
		Headers: []mail.Header{{Name: "Subject", Value: "Hello <you>"}},
	})
	require.NoError(t, err)
	b := &deliverBench{
		books: &books{manifest: &ledger.Manifest{
			EmailID: 7, ReceivedAt: time.Date(2026, 11, 22, 11, 0, 0, 123e6, time.UTC), Message: message,
			Sender: "bounce@x.example", Recipients: []string{"support@y.example"},
			Attachments: []mail.Attachment{
				{Filename: "a.png", ContentType: "image/png", DetectedType: "image/png", Key: "aa/x", Size: 1, SHA256: sum, Verdict: mail.Clean},
				{Filename: "b.zip", ContentType: "application/zip", Key: "bb/x", Size: 1, SHA256: sum, Verdict: mail.Infected, ContentID: "c1"},
				{Filename: "c.txt", Verdict: mail.Unscannable},
			},
		}},
		shelf: &shelf{},
		wire:  &wire{answers: answers},
		now:   time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	b.books.now = func() time.Time { return b.now }
	b.Deliver, err = activities.NewDeliver(activities.DeliverDeps{
		Ledger: b.books, Messages: b.shelf, Links: b.shelf, Sender: b.wire, Gate: b.wire, Rests: b.wire, Now: func() time.Time { return b.now },
	})
	require.NoError(t, err)
	return b
}

func (b *deliverBench) run(ctx context.Context, change ...func(*contract.DeliverInput)) (contract.DeliverResult, error) {
	in := contract.DeliverInput{Email: email(100), Destination: "ticketing", Inspected: edit.Judged(b.books.manifest)}
	for _, f := range change {
		f(&in)
	}
	return b.Deliver.Deliver(ctx, in)
}

func again(in *contract.DeliverInput)    { in.Again = true }
func released(in *contract.DeliverInput) { in.Released = true }

// requireNext holds the next attempt of the ledger against the wait that it must not
// undercut, and what Temporal is asked for against both: a long wait is asked for in parts.
func (b *deliverBench) requireNext(t *testing.T, least time.Duration, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	wait := b.row().NextAttemptAt.Sub(b.now)
	require.GreaterOrEqual(t, wait, least)
	require.LessOrEqual(t, wait, 2*least)
	if wait > 20*time.Second && app.Type() != string(fault.DownstreamGone) {
		wait = askAgain
	}
	require.Equal(t, wait, app.NextRetryDelay(), "the ledger tells when the next attempt really comes")
}

// row is the delivery but for when it was written.
func (b *deliverBench) row() ledger.Delivery {
	d := b.books.deliveries["ticketing"]
	d.UpdatedAt = time.Time{}
	return d
}

func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return compiled(t, schemaText(t, "mailroom.email.v1.json"))
}

// schemaText reads a published schema of what destinations receive.
func schemaText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("downstream/" + name)
	require.NoError(t, err)
	return string(text)
}

func compiled(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", document))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)
	return schema
}

// requireSchema holds a body against the schema, and the schema against the body:
// every field that is sent is described.
func requireSchema(t *testing.T, body string) map[string]any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, schemaOf(t).Validate(value))
	var described struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(schemaText(t, "mailroom.email.v1.json")), &described))
	document := value.(map[string]any)
	requireKeys(t, described.Properties, document)
	requireKeys(t, described.Defs["message"].Properties, document["message"])
	for _, a := range document["attachments"].([]any) {
		requireKeys(t, described.Defs["attachment"].Properties, a)
	}
	return document
}

func requireKeys(t *testing.T, described map[string]any, value any) {
	t.Helper()
	for key := range value.(map[string]any) {
		require.Contains(t, described, key)
	}
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(201, nil))
	out, err := b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, contract.DeliverResult{Status: 201, Attempts: 1}, out)
	require.Equal(t, ledger.Delivery{
		EmailID: 7, Destination: "ticketing", State: ledger.Delivered, LastStatus: 201, Attempts: 1,
		IdempotencyKey: contract.IdempotencyKey("evt-1", "ticketing"), DeliveredAt: b.now,
		ContentSHA256: b.row().ContentSHA256,
	}, b.row())
	require.Equal(t, []string{contract.IdempotencyKey("evt-1", "ticketing")}, b.wire.keys)
	require.Equal(t, []ledger.DeliveryState{ledger.Delivered}, b.books.saved)

	document := requireSchema(t, b.wire.bodies[0])
	require.Equal(t, b.wire.keys[0], document["idempotency_key"])
	require.Equal(t, "2026-11-22T11:00:00.123Z", document["received_at"])
	require.Equal(t, "evt-1", document["event_id"])
	require.Contains(t, b.wire.bodies[0], `"html":"<p>html</p>"`)
	attachments := document["attachments"].([]any)
	require.Len(t, attachments, 3)
	first := attachments[0].(map[string]any)
	require.Equal(t, "http://files.example/aa/x?expires=3600", first["url"])
	require.Equal(t, "2026-11-22T13:00:00Z", first["url_expires_at"])
	require.NotContains(t, attachments[1], "url")
	require.NotContains(t, attachments[2], "url")

	out, err = b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, contract.DeliverResult{Status: 201, Attempts: 1}, out)
	require.Equal(t, 1, b.wire.calls, "what is delivered is not sent again")
	_, err = b.run(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, 1, b.wire.calls)
}

func TestDeliverReleasedLinksWhatIsNotClean(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	_, err := b.run(t.Context(), released)
	require.NoError(t, err)
	attachments := requireSchema(t, b.wire.bodies[0])["attachments"].([]any)
	require.Contains(t, attachments[0], "url")
	require.Contains(t, attachments[1], "url")
	require.NotContains(t, attachments[2], "url", "there are no bytes")
}

func TestDeliverSendsTheSameBytesEachTime(t *testing.T) {
	t.Parallel()
	failed := fault.New(fault.DownstreamUnavailable, "the destination answered 503")
	b := setupDeliver(t, answers(503, failed), answers(503, failed), answers(200, nil))
	for range 3 {
		_, _ = b.run(t.Context())
	}
	require.Len(t, slices.Compact(b.wire.bodies), 1)
	require.Len(t, slices.Compact(b.wire.keys), 1)
	require.Equal(t, 3, b.row().Attempts)
	require.Equal(t, ledger.Delivered, b.row().State)
	require.Empty(t, b.row().LastError)
}

func TestDeliverBoundsTheBody(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	long := strings.Repeat("ü", 300<<10)
	headers := []mail.Header{{Name: "Subject", Value: "first"}, {Name: "X-Long", Value: long}, {Name: "X-Last", Value: "last"}}
	message, err := json.Marshal(mail.Message{Subject: long, Text: long, HTML: long, Headers: headers})
	require.NoError(t, err)
	b.books.manifest.Message = message
	_, err = b.run(t.Context())
	require.NoError(t, err)
	require.Less(t, len(b.wire.bodies[0]), 640<<10)
	got := requireSchema(t, b.wire.bodies[0])["message"].(map[string]any)
	require.Len(t, got["text"], 256<<10)
	require.Equal(t, true, got["text_truncated"])
	require.Equal(t, true, got["html_truncated"])
	require.Equal(t, true, got["headers_truncated"])
	require.Len(t, got["headers"], 1)
	require.Nil(t, got["date"])
	require.Equal(t, []any{}, got["to"])
}

func TestDeliverFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault *fault.Error
		state ledger.DeliveryState
		next  time.Duration
	}{
		"again":     {fault.New(fault.DownstreamUnavailable, "a sentence"), ledger.Retrying, time.Second},
		"later":     {fault.New(fault.DownstreamUnavailable, "a sentence").After(time.Minute), ledger.Retrying, time.Minute},
		"gone":      {fault.New(fault.DownstreamGone, "a sentence").After(12 * time.Second), ledger.Retrying, 12 * time.Second},
		"rejected":  {fault.New(fault.DownstreamRejected, "a sentence"), ledger.Rejected, 0},
		"ambiguous": {fault.New(fault.AmbiguousEffect, "a sentence"), ledger.Ambiguous, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupDeliver(t, answers(555, c.fault), answers(200, nil))
			_, err := b.run(t.Context())
			requireCode(t, err, c.fault.Code, c.fault.Temporary)
			d := b.row()
			require.Equal(t, c.state, d.State)
			require.Equal(t, 1, d.Attempts)
			require.Equal(t, 555, d.LastStatus)
			require.Equal(t, "a sentence", d.LastError)
			require.True(t, d.DeliveredAt.IsZero())
			if c.next == 0 {
				require.True(t, d.NextAttemptAt.IsZero())
				_, err = b.run(t.Context())
				requireCode(t, err, c.fault.Code, false)
				require.ErrorContains(t, err, "a sentence")
				require.Equal(t, 1, b.wire.calls, "only a person asks again")
			} else {
				b.requireNext(t, c.next, err)
			}
			out, err := b.run(t.Context(), again)
			require.NoError(t, err)
			require.Equal(t, 2, out.Attempts)
		})
	}
}

func TestDeliverCountsOnlyCallsThatWereMade(t *testing.T) {
	t.Parallel()
	open := fault.New(fault.BreakerOpen, "withheld").After(45 * time.Second)
	b := setupDeliver(t,
		withheld(open),
		answers(500, fault.New(fault.DownstreamUnavailable, "the destination answered 500")),
		withheld(open),
		withheld(fault.New(fault.Overloaded, "busy").After(time.Second)),
		withheld(fault.New(fault.DownstreamGone, "gone").After(time.Minute)),
	)
	_, err := b.run(t.Context())
	requireCode(t, err, fault.BreakerOpen, true)
	require.Zero(t, b.row().Attempts)
	require.Equal(t, "withheld", b.row().LastError)
	require.False(t, b.row().Paused, "a wait for the destination, not for people")
	b.requireNext(t, 45*time.Second, err)
	called := b.row().NextAttemptAt
	for range 4 {
		b.now = b.row().NextAttemptAt
		_, err = b.run(t.Context())
		require.Error(t, err)
	}
	require.Equal(t, 1, b.row().Attempts)
	require.Equal(t, []ledger.Call{{At: called, Status: 500, Code: string(fault.DownstreamUnavailable)}}, b.books.calls)
	require.Equal(t, 500, b.row().LastStatus)
	require.Equal(t, "the destination answered 500", b.row().LastError, "the reason stays in sight")
	require.True(t, b.row().Paused)
	b.requireNext(t, time.Minute, err)
	require.Equal(t, ledger.Retrying, b.row().State)
}

func TestDeliverWithoutIdempotency(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.wire.careless = true
	out, err := b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, out.Attempts)
	require.Equal(t, []ledger.DeliveryState{ledger.Attempting, ledger.Delivered}, b.books.saved)
	require.Equal(t, []ledger.Call{{At: b.now, Status: 200}}, b.books.calls, "one call, announced before and told after")
}

// A worker that dies between call and answer leaves attempting behind.
func TestDeliverFindsAnAttemptThatNeverEnded(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		b := setupDeliver(t, answers(200, nil))
		b.wire.careless = true
		b.books.deliveries = map[string]ledger.Delivery{"ticketing": {
			EmailID: 7, Destination: "ticketing", State: ledger.Attempting, Attempts: 1,
		}}
		_, err := b.run(t.Context(), func(in *contract.DeliverInput) { in.Again = asked })
		requireCode(t, err, fault.AmbiguousEffect, false)
		require.Equal(t, ledger.Ambiguous, b.row().State)
		require.Zero(t, b.wire.calls)

		_, err = b.run(t.Context())
		requireCode(t, err, fault.AmbiguousEffect, false)
		out, err := b.run(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, 2, out.Attempts)
	}
	// With a destination that knows its keys a repeat does no harm.
	b := setupDeliver(t, answers(200, nil))
	b.books.deliveries = map[string]ledger.Delivery{"ticketing": {State: ledger.Attempting, Attempts: 1}}
	_, err := b.run(t.Context())
	require.NoError(t, err)
}

func TestDeliverDoesNotCallUnnoted(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.wire.careless, b.books.saveFails = true, true
	_, err := b.run(t.Context())
	requireCode(t, err, fault.StorageUnavailable, true)
	require.Zero(t, b.wire.calls)

	b = setupDeliver(t, answers(200, nil))
	b.books.down = true
	_, err = b.run(t.Context())
	requireCode(t, err, fault.StorageUnavailable, true)
	require.Zero(t, b.wire.calls)
	require.Empty(t, b.books.saved)
}

// What the destination did is written down even when the activity's time ends meanwhile.
func TestDeliverNotesAfterItsTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := setupDeliver(t, func(call func() error) (int, error) {
		if err := call(); err != nil {
			return 0, err
		}
		cancel()
		return 200, nil
	})
	_, err := b.run(ctx)
	require.NoError(t, err)
	require.Equal(t, ledger.Delivered, b.row().State)
}

func TestDeliverHoldsForAnUnknownDestination(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, withheld(fault.New(fault.ConfigInvalid, "no such destination")))
	_, err := b.run(t.Context())
	requireCode(t, err, fault.ConfigInvalid, false)
	require.Empty(t, b.books.saved)
}
