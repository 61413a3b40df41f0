package timeline_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/timeline"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// at is a moment of the workflow's clock, n milliseconds after the event came.
func at(n int64) int64 { return 1_790_000_000_123 + n }

func accept(t *testing.T, db *pgtest.DB, verified contract.Verified) contract.Email {
	t.Helper()
	out, err := db.Accept(t.Context(), []postgres.Acceptance{{
		Source: contract.FirstSource, EventID: "e", WorkflowID: contract.WorkflowID(contract.FirstSource, "e"),
		Tenant: "default", CorrelationID: "corr-e", BodySHA256: sha256.Sum256([]byte("body")), Body: []byte("body"), Size: 4,
		ReceivedAt: time.UnixMilli(at(0)).UTC(), Verified: verified,
	}}, time.Minute)
	require.NoError(t, err)
	return out[0].Row.Email
}

func newReplay() ledger.NewReplay {
	return ledger.NewReplay{Action: contract.Retry, Note: "the rule is there now", Actor: "ann", Via: contract.ViaAPI, Rate: 50}
}

func createReplay(t *testing.T, db *pgtest.DB, in ledger.NewReplay) int64 {
	t.Helper()
	id, _, err := db.CreateReplay(t.Context(), in)
	require.NoError(t, err)
	return id
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// told returns the kinds, titles and details of a timeline.
func told(list []ledger.TimelineEntry) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = string(e.Kind) + " | " + e.Title + " | " + e.Detail
		if e.Destination != "" {
			out[i] += " @" + e.Destination
		}
		if e.Actor != "" {
			out[i] += " by " + e.Actor + " " + e.Via
		}
	}
	return out
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := accept(t, db, contract.Verified{Scheme: "timestamp-hmac", Key: 2, Ref: "env:WEBHOOK_SECRET"})
	m := ledger.Manifest{
		EmailID: email.ID, RawKey: "body/aa/aabb", MIMEKey: "mime/cc/ccdd", Message: []byte(`{}`),
		Attachments: []mail.Attachment{{Filename: "a.pdf", SHA256: "aa"}, {Filename: "b.zip", SHA256: "bb"}},
	}
	m.Parser = "mailroom/3 text v0.43.0"
	require.NoError(t, db.SaveManifest(ctx, m))
	require.NoError(t, db.SaveLeftOut(ctx, email.ID, nil, []string{"sales@yourapp.example", "bob@yourapp.example"}))
	require.NoError(t, db.SaveVerdicts(ctx, email.ID, []mail.Attachment{
		{SHA256: "aa", Verdict: mail.Clean}, {SHA256: "bb", Verdict: mail.Infected},
	}))
	// What the database's own clock wrote is put among the rest.
	execute(t, url, `UPDATE emails SET stored_at = to_timestamp(1790000000.130)`)
	execute(t, url, `DELETE FROM past_steps`)
	inspected := contract.Inspected{Scanner: "ClamAV 1.0.7", Database: "27500 of 2026-11-24", AtUnixMilli: at(10), RawView: "clean"}
	routed := contract.Routed{Rules: "0a1b2c3d", AtUnixMilli: at(1020)}
	for _, in := range []contract.RecordInput{
		{Sequence: 1, State: contract.Quarantined, Reason: contract.Infected, Detail: "attachment 2 of 2 is infected", AtUnixMilli: at(11), Inspected: inspected},
		{Sequence: 2, State: contract.Processing, AtUnixMilli: at(1000), Before: contract.Quarantined, Inspected: inspected,
			Decision: &contract.Decision{Action: contract.Approve, Actor: "anna", Via: contract.ViaAPI, Note: "a test file"}},
		{Sequence: 3, State: contract.Retrying, Reason: contract.DownstreamUnavailable, AtUnixMilli: at(1050), Routes: []string{"support"}, Routed: routed},
		{Sequence: 4, State: contract.Delivered, AtUnixMilli: at(2500)},
	} {
		in.Email = email
		require.NoError(t, db.Record(ctx, in))
		require.NoError(t, db.Record(ctx, in), "a repeat adds nothing")
	}
	call := ledger.Delivery{EmailID: email.ID, Destination: "ticketing", IdempotencyKey: "k", State: ledger.Retrying, Attempts: 1,
		Call: &ledger.Call{At: time.UnixMilli(at(1030)), Took: 15 * time.Millisecond, Status: 503, Code: "downstream_unavailable"}}
	require.NoError(t, db.SaveDelivery(ctx, call))
	require.NoError(t, db.SaveDelivery(ctx, call), "a repeat adds nothing")
	call.State, call.Attempts, call.DeliveredAt = ledger.Delivered, 2, time.UnixMilli(at(2400))
	call.Call = &ledger.Call{At: time.UnixMilli(at(2300)), Took: 100 * time.Millisecond, Status: 202}
	require.NoError(t, db.SaveDelivery(ctx, call))

	require.NoError(t, db.RecordSignals(ctx, contract.SignalsInput{Email: email, Signals: []contract.UnknownSignal{
		{Name: "aprove", Count: 10, FirstUnixMilli: at(900), LastUnixMilli: at(990)},
		{Count: 1, FirstUnixMilli: at(950), LastUnixMilli: at(950)},
	}}))

	list, err := timeline.New(db).Timeline(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, []string{
		"received | Received | 4 bytes, SHA-256 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
		"verified | Verified | timestamp-hmac with key 2 (env:WEBHOOK_SECRET)",
		"stored | Stored | 2 attachments; mailroom/3 text v0.43.0",
		"inspected | Inspected | 1 clean, 1 infected; raw mail clean; ClamAV 1.0.7; 27500 of 2026-11-24",
		"held | Held | infected: attachment 2 of 2 is infected",
		"signal | Unknown signal aprove | it changed nothing: there is no such signal; the signals are approve, retry, discard, edit, hold; " +
			"came at least 10 times, last seen 2026-09-21 14:13:21 UTC",
		"signal | Signals with more unknown names | it changed nothing: there is no such signal; the signals are approve, retry, discard, edit, hold",
		"decision | Decided: approve (infected) | a test file by anna api",
		"routed | Routed | support; rules 0a1b2c3d; no rule takes sales@yourapp.example, bob@yourapp.example",
		"attempt | Attempt 1 | HTTP 503 after 15 ms; downstream_unavailable @ticketing",
		"waiting | Waiting | downstream_unavailable",
		"attempt | Attempt 2 | HTTP 202 after 100 ms @ticketing",
		"leg | Delivered | after 2 attempts @ticketing",
		"closed | Delivered | ",
	}, told(list))

	_, err = timeline.New(db).Timeline(ctx, email.ID+1)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
}

// TestTimelineOfWhatPeopleDid has reminders, edits and replays among the rest.
func TestTimelineOfWhatPeopleDid(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := accept(t, db, contract.Verified{})
	for i, in := range []contract.RecordInput{
		{State: contract.Quarantined, Reason: contract.Unroutable, AtUnixMilli: at(100)},
		{State: contract.Delivered, AtUnixMilli: at(700_000_000)},
	} {
		in.Email, in.Sequence = email, int64(i+1)
		require.NoError(t, db.Record(ctx, in))
	}
	remind := contract.RemindInput{
		Email: email, Holds: []contract.Hold{{Reason: contract.Unroutable}, {Reason: contract.Unroutable}, {Reason: contract.TooLarge}},
		Step: "route", SinceUnixMilli: at(100), Sequence: 1,
	}
	for _, r := range []struct {
		number, level int
		deadline      bool
		at            int64
	}{{1, 1, false, 14_400_100}, {2, 2, false, 86_400_100}, {3, 2, false, 612_000_100}, {3, 2, true, 612_000_200}} {
		remind.Number, remind.Level, remind.Deadline, remind.AtUnixMilli = r.number, r.level, r.deadline, at(r.at)
		require.NoError(t, db.Attend(ctx, remind))
		require.NoError(t, db.Attend(ctx, remind), "a repeat adds nothing")
	}
	for key, by := range map[string]string{"a": "anna", "b": "bob"} {
		id, err := db.CreateEdit(ctx, ledger.NewEdit{
			EmailID: email.ID, Actor: by, Note: "n", Key: key, Changes: []ledger.Change{{Field: "recipients", Before: "secret", After: "secret"}, {Field: "subject"}},
		})
		require.NoError(t, err)
		execute(t, url, fmt.Sprintf(`UPDATE edits SET created_at = to_timestamp(%d) WHERE id = %d`, at(620_000_000+id)/1000, id))
		if by == "anna" {
			require.NoError(t, db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: id}))
		}
	}
	in := newReplay()
	in.Action, in.From, in.NewEffect = ledger.ActionReplay, contract.StepRoute, true
	first := createReplay(t, db, in)
	second := createReplay(t, db, newReplay())
	execute(t, url, fmt.Sprintf(`INSERT INTO replay_items (replay_id, email_id, state, code, claimed_at) VALUES
		(%d, %d, 'done', 'started', to_timestamp(%d)), (%d, %d, 'skipped', 'not_held', to_timestamp(%d))`,
		first, email.ID, at(800_000_000)/1000, second, email.ID, at(900_000_000)/1000))

	list, err := timeline.New(db).Timeline(ctx, email.ID)
	require.NoError(t, err)
	lines := told(list)[1:]
	require.ElementsMatch(t, []string{
		"edit | Edited | recipients, subject by anna ", "edit | Edit not carried out | recipients, subject by bob ",
	}, lines[5:7])
	require.Equal(t, []string{
		"held | Held | unroutable",
		"reminder | Reminder 1 | unroutable, too_large for 4h",
		"reminder | Escalated (reminder 2) | unroutable, too_large for 1d",
		"reminder | Escalated (reminder 3) | unroutable, too_large for 7d2h",
		"reminder | Deadline passed, still held | unroutable, too_large for 7d2h",
		"closed | Delivered | ",
		fmt.Sprintf("replay | Replay %d | from route; with a new effect by ann api", first),
		fmt.Sprintf("replay | Replay %d (retry) | from held; skipped: not held by ann api", second),
	}, slices.Delete(lines, 5, 7))
}

// TestTimelineBetweenClocks: a workflow's clock stands still while it inspects and
// delivers, and says that the end was before what led to it.
func TestTimelineBetweenClocks(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := accept(t, db, contract.Verified{})
	execute(t, url, `UPDATE emails SET stored_at = to_timestamp(1790000000.630)`)
	for i, in := range []contract.RecordInput{
		{State: contract.Quarantined, Reason: contract.Unroutable, AtUnixMilli: at(20), Inspected: contract.Inspected{AtUnixMilli: at(800)}, Routed: contract.Routed{AtUnixMilli: at(900)}},
		{State: contract.Processing, AtUnixMilli: at(1000), Before: contract.Quarantined, Decision: &contract.Decision{Action: contract.Retry, Actor: "anna", Via: contract.ViaAPI}},
		{State: contract.Quarantined, Reason: contract.DownstreamRejected, AtUnixMilli: at(1010)},
		{State: contract.Retrying, Reason: contract.DownstreamUnavailable, AtUnixMilli: at(9000)},
		{State: contract.Delivered, AtUnixMilli: at(10500)},
	} {
		in.Email, in.Sequence = email, int64(i+1)
		require.NoError(t, db.Record(ctx, in))
	}
	for i, ms := range []int64{1300, 8999, 10600} {
		require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{EmailID: email.ID, Destination: "crm", IdempotencyKey: "k", State: ledger.Delivered, Attempts: i + 1,
			DeliveredAt: time.UnixMilli(at(10700)), Call: &ledger.Call{At: time.UnixMilli(at(ms)), Took: time.Millisecond, Status: 400}}))
	}
	list, err := timeline.New(db).Timeline(ctx, email.ID)
	require.NoError(t, err)
	titles := make([]string, len(list))
	for i, e := range list {
		titles[i] = e.Title
	}
	require.Equal(t, []string{
		"Received", "Stored", "Inspected", "Routed", "Held", "Decided: retry (unroutable)", "Attempt 1", "Held",
		"Attempt 2", "Waiting", "Attempt 3", "Delivered", "Delivered",
	}, titles)
	require.Equal(t, ledger.TimeClosed, list[len(list)-1].Kind)
}

// An email that is opened again keeps its first end.
func TestTimelineOfAnEmailOpenedAgain(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := accept(t, db, contract.Verified{})
	for i, state := range []contract.State{contract.Delivered, contract.Processing, contract.Discarded, contract.Retrying, contract.Delivered} {
		require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: int64(i + 1), State: state, AtUnixMilli: at(int64(i + 1))}))
	}
	list, err := timeline.New(db).Timeline(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, []string{
		"received | Received | 4 bytes, SHA-256 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
		"closed | Delivered | ", "closed | Discarded | ", "waiting | Waiting | ", "closed | Delivered | ",
	}, told(list))
}

// TestAttemptsNameWhatWentWrong: they read "no answer after 0 ms", called or not.
func TestAttemptsNameWhatWentWrong(t *testing.T) {
	t.Parallel()
	h := &ledger.History{Attempts: []ledger.AttemptRow{
		{Number: 1, TookMS: 3, Code: string(fault.ConnectionRefused)},
		{Number: 2, Code: string(fault.AddressForbidden)},
		{Number: 3, TookMS: 9, Status: 503, Code: string(fault.DownstreamUnavailable), Effect: "replay 7"},
		{Number: 4, TookMS: 9, Code: string(fault.DownstreamUnavailable)}, // from before causes were stored
	}}
	for i := range h.Attempts {
		h.Attempts[i].Destination, h.Attempts[i].At = "crm", time.UnixMilli(at(int64(i)))
	}

	list := slices.DeleteFunc(timeline.Entries(h), func(e ledger.TimelineEntry) bool { return e.Kind != ledger.TimeAttempt })
	require.Equal(t, []string{
		"attempt | Attempt 1 | the destination refused the connection: nothing listens on its port, after 3 ms; connection_refused @crm",
		"attempt | Attempt 2 | no call was made: the destination's address may not be called; allow_private allows loopback and private ones; address_forbidden @crm",
		"attempt | Attempt 3 | HTTP 503 after 9 ms; downstream_unavailable; for replay 7 @crm",
		"attempt | Attempt 4 | no answer after 9 ms; downstream_unavailable @crm",
	}, told(list))
	require.Equal(t, "connection_refused", list[0].Code)
}
