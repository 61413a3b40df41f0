package timeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/timeline"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
)

// lived is the history of an email as clocks that differ recorded it, and the kinds of
// its entries in the order in which things happened.
type lived struct {
	ledger.History
	rand   *rand.Rand
	now    time.Time
	clock  time.Time // of the workflow
	want   []string
	number int
}

func (l *lived) pass(least, most time.Duration) time.Time {
	l.now = l.now.Add(least + time.Duration(l.rand.Int64N(int64(most-least))))
	return l.now
}

// behind returns the time of the workflow's clock, in milliseconds. It never goes back.
func (l *lived) behind() time.Time {
	clock := l.now.Add(-time.Duration(l.rand.Int64N(int64(900 * time.Millisecond)))).Truncate(time.Millisecond)
	if least := l.clock.Add(time.Millisecond); clock.Before(least) {
		clock = least
	}
	l.clock = clock
	return clock
}

func (l *lived) happened(title string) { l.want = append(l.want, title) }

func (l *lived) state(s contract.State, title string) {
	l.States = append(l.States, ledger.StateChange{At: l.behind(), State: s, Reason: contract.DownstreamUnavailable})
	l.happened(title)
}

func (l *lived) step(k ledger.TimelineKind, title string) {
	l.Steps = append(l.Steps, ledger.PastStep{Step: k, At: l.pass(time.Millisecond, 50*time.Millisecond)})
	l.happened(title)
}

func (l *lived) attempt(status int) {
	l.number++
	l.Attempts = append(l.Attempts, ledger.AttemptRow{
		Destination: "crm", Number: l.number, At: l.pass(time.Millisecond, 50*time.Millisecond), Status: status,
	})
	l.happened("Attempt " + strconv.Itoa(l.number))
	l.pass(time.Millisecond, 300*time.Millisecond)
}

func (l *lived) end(s ledger.DeliveryState, title string) {
	l.Ends = append(l.Ends, ledger.DeliveryEnd{Destination: "crm", State: s, At: l.pass(time.Millisecond, 20*time.Millisecond)})
	l.happened(title)
}

// live returns the history of an email that waits, is refused, decided about and repeated,
// and delivered at last.
func live(r *rand.Rand) *lived {
	l := &lived{rand: r, now: time.UnixMilli(at(0))}
	l.Email.ReceivedAt = l.now
	l.happened("Received")
	l.pass(5*time.Millisecond, 100*time.Millisecond)

	for run := range 1 + r.IntN(3) {
		if run > 0 {
			l.end(ledger.Rejected, "Refused")
			l.state(contract.Quarantined, "Held")
			l.pass(time.Second, time.Hour)
			l.Decisions = append(l.Decisions, ledger.DecisionMade{At: l.behind(), Action: contract.Retry})
			l.happened("Decided: retry")
		}
		l.step(ledger.TimeStored, "Stored")
		if r.IntN(3) == 0 {
			l.state(contract.Retrying, "Waiting")
			l.pass(time.Second+900*time.Millisecond, 10*time.Second)
		}
		l.step(ledger.TimeInspected, "Inspected")
		l.step(ledger.TimeRouted, "Routed")
		for range r.IntN(4) {
			l.attempt(503)
			l.state(contract.Retrying, "Waiting")
			l.pass(time.Second+900*time.Millisecond, 10*time.Second) // from what the slow clock says, at least a second
		}
		l.attempt(400)
	}
	l.end(ledger.Delivered, "Delivered")
	l.Email.State = contract.Delivered
	closed := l.behind()
	l.Email.ClosedAt = &closed
	l.happened("Delivered")
	return l
}

// TestWaitingStoodBeforeItsCause: entries of the workflow's clock stood before what led
// to them, and times descended in 240 of 250 timelines.
func TestWaitingStoodBeforeItsCause(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := live(r)
		r.Shuffle(len(l.Attempts), func(i, j int) { l.Attempts[i], l.Attempts[j] = l.Attempts[j], l.Attempts[i] })
		r.Shuffle(len(l.States), func(i, j int) { l.States[i], l.States[j] = l.States[j], l.States[i] })

		list := timeline.Entries(&l.History)
		titles := make([]string, len(list))
		for i, e := range list {
			titles[i] = e.Title
		}
		require.Equal(t, l.want, titles, "seed %d", seed)
		require.True(t, slices.IsSortedFunc(list, func(a, b ledger.TimelineEntry) int { return a.At.Compare(b.At) }), "seed %d", seed)
		for _, e := range list {
			if e.Kind == ledger.TimeAttempt || e.Kind == ledger.TimeDelivery {
				require.Equal(t, "crm", e.Destination)
			}
		}
	}
}

// TestEntriesVanishedAfterADecision: whatever is done to an email, what its timeline had
// before is there afterwards. Only the number of verdicts and of attachments belongs to
// the last run alone.
func TestEntriesVanishedAfterADecision(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := accept(t, db, contract.Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:A"})

	m := ledger.Manifest{EmailID: email.ID, RawKey: "body/aa/aabb", MIMEKey: "mime/cc/ccdd", Message: []byte(`{}`),
		Attachments: []mail.Attachment{{Filename: "a.pdf", SHA256: "aa"}}}
	d := ledger.Delivery{EmailID: email.ID, Destination: "crm", IdempotencyKey: "k"}
	in := contract.RecordInput{Email: email}
	record := func(state contract.State, ms int64, by contract.Action) {
		in.Sequence, in.State, in.AtUnixMilli, in.Decision = in.Sequence+1, state, at(ms), nil
		if by != "" {
			in.Decision = &contract.Decision{Action: by, Actor: "anna", Via: contract.ViaAPI}
		}
		require.NoError(t, db.Record(ctx, in))
	}
	call := func(state ledger.DeliveryState, ms int64, code, lastError string) {
		d.Attempts++
		d.State, d.LastError = state, lastError
		d.Call = &ledger.Call{At: time.UnixMilli(at(ms)), Code: code}
		if state == ledger.Delivered {
			d.DeliveredAt = time.UnixMilli(at(ms))
		}
		require.NoError(t, db.SaveDelivery(ctx, d))
		execute(t, url, fmt.Sprintf(`UPDATE deliveries SET updated_at = to_timestamp(%d / 1000.0)`, at(ms+5)))
	}
	steps := func(parser, scanner string, verdict mail.Verdict, ms int64) {
		m.Parser = parser
		require.NoError(t, db.SaveManifest(ctx, m))
		execute(t, url, fmt.Sprintf(`UPDATE emails SET stored_at = to_timestamp(%d / 1000.0) WHERE parser = '%s'`, at(ms), parser))
		execute(t, url, `DELETE FROM past_steps WHERE at > to_timestamp(1790100000)`) // what the line above replaced
		require.NoError(t, db.SaveVerdicts(ctx, email.ID, []mail.Attachment{{SHA256: "aa", Verdict: verdict}}))
		in.Inspected = contract.Inspected{Scanner: scanner, AtUnixMilli: at(ms + 1), RawView: "clean"}
		in.Routed = contract.Routed{Rules: "rules of " + scanner, AtUnixMilli: at(ms + 2)}
		in.Routes = []string{"crm of " + parser}
	}

	var before []ledger.TimelineEntry
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"infected", func() { steps("p1", "ClamAV 1", mail.Infected, 10); record(contract.Quarantined, 20, "") }},
		{"inspected again after a retry", func() {
			record(contract.Processing, 5000, contract.Retry)
			steps("p1", "ClamAV 2", mail.Clean, 5010)
			record(contract.Processing, 5020, "")
		}},
		{"refused", func() {
			call(ledger.Rejected, 5030, "downstream_rejected", "answered 404")
			record(contract.Quarantined, 5040, "")
		}},
		{"retried and refused again", func() {
			record(contract.Processing, 15000, contract.Retry)
			call(ledger.Rejected, 15030, "downstream_rejected", "answered 404")
			record(contract.Quarantined, 15040, "")
		}},
		{"retried and waiting", func() {
			record(contract.Processing, 25000, contract.Retry)
			call(ledger.Retrying, 25030, "connection_reset", "reset")
			record(contract.Retrying, 25020, "")
		}},
		{"delivered", func() { call(ledger.Delivered, 27030, "", ""); record(contract.Delivered, 27000, "") }},
		{"replayed from store", func() {
			record(contract.Processing, 90000, "")
			steps("p2", "ClamAV 3", mail.Clean, 90010)
			record(contract.Processing, 90020, "")
		}},
		{"with a new effect", func() {
			d = ledger.Delivery{EmailID: email.ID, Destination: "crm", IdempotencyKey: "k2", Effect: "replay/7"}
			call(ledger.Ambiguous, 90030, "connection_reset", "reset")
			record(contract.Quarantined, 90040, "")
		}},
		{"discarded", func() { record(contract.Discarded, 99000, contract.Discard) }},
	} {
		step.do()
		now, err := timeline.New(db).Timeline(ctx, email.ID)
		require.NoError(t, err)
		require.True(t, slices.IsSortedFunc(now, func(a, b ledger.TimelineEntry) int { return a.At.Compare(b.At) }), step.name)
		for _, was := range before {
			require.True(t, slices.ContainsFunc(now, func(e ledger.TimelineEntry) bool {
				return e.Kind == was.Kind && e.Title == was.Title && e.At.Equal(was.At) && e.Destination == was.Destination &&
					strings.HasSuffix(was.Detail, e.Detail) && (e.Detail != "" || was.Detail == "")
			}), "%s: %v is missing in %v", step.name, was, told(now))
		}
		require.Greater(t, len(now), len(before), step.name)
		before = now
	}
}
