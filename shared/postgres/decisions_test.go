package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestIntents(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	other := accept(t, db, event("other", "body"))[0].Row.Email

	id, err := db.CreateIntent(ctx, ledger.Intent{
		EmailID: email.ID, Action: contract.Edited, Actor: "ann\x00", Via: contract.ViaConsole, Note: "the \x00charset",
		EditID: 7, From: contract.StepStore,
	})
	require.NoError(t, err)
	got, err := db.Intent(ctx, contract.IntentInput{Email: email, Intent: id})
	require.NoError(t, err)
	require.Equal(t, contract.IntentResult{
		Action: contract.Edited, Actor: "ann", Via: contract.ViaConsole, EditID: 7, From: contract.StepStore,
	}, got)

	for name, in := range map[string]contract.IntentInput{
		"of another email": {Email: other, Intent: id},
		"of no intent":     {Email: email, Intent: id + 1000},
	} {
		_, err := db.Intent(ctx, in)
		require.True(t, fault.Is(err, fault.DecisionRefused), "%s: %v", name, err)
	}

	record := contract.RecordInput{
		Email: email, Sequence: 2, State: contract.Processing, Before: contract.Quarantined, AtUnixMilli: 1_790_000_001_000,
		Decision: &contract.Decision{Intent: id, Action: contract.Edited, Actor: "ann", Via: contract.ViaConsole},
		EditID:   7, Verified: true,
	}
	require.NoError(t, db.Record(ctx, record))
	got, err = db.Intent(ctx, contract.IntentInput{Email: email, Intent: id})
	require.NoError(t, err)
	require.True(t, got.Taken)
	again := record
	again.Sequence = 3
	require.NoError(t, db.Record(ctx, again), "an intent is taken once, by any decision")

	last, found, err := db.LastDecision(ctx, email.ID)
	require.NoError(t, err)
	require.True(t, found)
	want := ledger.DecisionRow{
		Action: contract.Edited, Actor: "ann", Via: "console", Note: "the charset", At: time.UnixMilli(1_790_000_001_000).UTC(),
		Before: contract.Quarantined, After: contract.Processing, Verified: true, EditID: 7,
	}
	require.Equal(t, want, last)
	d, err := db.FindEmail(ctx, ledger.Lookup{EventID: "e"})
	require.NoError(t, err)
	require.Equal(t, []ledger.DecisionRow{want}, d.Decisions)

	_, found, err = db.LastDecision(ctx, other.ID)
	require.NoError(t, err)
	require.False(t, found)
}

// replayOf writes down a replay that has come to these emails.
func replayOf(t *testing.T, conn *pgx.Conn, emails ...contract.Email) int64 {
	t.Helper()
	var id int64
	require.NoError(t, conn.QueryRow(t.Context(), `
INSERT INTO replays (action, filter, note, actor, via, rate, at_once, last_id, last_sequence)
VALUES ('retry', '{}', 'the rule is there', 'ann', 'api', 0, 1, 9, 9) RETURNING id`).Scan(&id))
	for _, e := range emails {
		_, err := conn.Exec(t.Context(), "INSERT INTO replay_items (replay_id, email_id, state) VALUES ($1, $2, 'claimed')", id, e.ID)
		require.NoError(t, err)
	}
	return id
}

func connect(t *testing.T) (*pgtest.DB, *pgx.Conn) {
	t.Helper()
	url := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return pgtest.Open(t, url, 4), conn
}

// TestIntentOfAReplay is for each of its emails, and for no other.
func TestIntentOfAReplay(t *testing.T) {
	t.Parallel()
	db, conn := connect(t)
	ctx, a := t.Context(), acceptOne(t, db)
	b, c := accept(t, db, event("b", "body"))[0].Row.Email, accept(t, db, event("c", "body"))[0].Row.Email
	id, err := db.CreateIntent(ctx, ledger.Intent{
		ReplayID: replayOf(t, conn, a, b), Action: contract.Retry, Actor: "ann", Via: contract.ViaReplay, Note: "the rule is there",
	})
	require.NoError(t, err)
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: a, Sequence: 2, State: contract.Processing, Verified: true,
		Decision: &contract.Decision{Intent: id, Action: contract.Retry, Actor: "ann", Via: contract.ViaReplay},
	}))
	for _, row := range []struct {
		email contract.Email
		taken bool
	}{{a, true}, {b, false}} {
		got, err := db.Intent(ctx, contract.IntentInput{Email: row.email, Intent: id})
		require.NoError(t, err)
		require.Equal(t, row.taken, got.Taken)
	}
	_, err = db.Intent(ctx, contract.IntentInput{Email: c, Intent: id})
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
}

// TestIntentNamesTheStateItsSenderSaw: an intent of a replay that of its filter.
func TestIntentNamesTheStateItsSenderSaw(t *testing.T) {
	t.Parallel()
	db, conn := connect(t)
	ctx, a := t.Context(), acceptOne(t, db)
	one, err := db.CreateIntent(ctx, ledger.Intent{
		EmailID: a.ID, State: contract.Retrying, Action: contract.Held, Actor: "ann", Via: contract.ViaAPI, Note: "not yet",
	})
	require.NoError(t, err)
	replay := replayOf(t, conn, a)
	_, err = conn.Exec(ctx, `UPDATE replays SET action = 'hold', filter = '{"state": "retrying"}' WHERE id = $1`, replay)
	require.NoError(t, err)
	many, err := db.ReplayIntent(ctx, replay)
	require.NoError(t, err)
	for _, id := range []int64{one, many} {
		got, err := db.Intent(ctx, contract.IntentInput{Email: a, Intent: id})
		require.NoError(t, err)
		require.Equal(t, contract.Retrying, got.State)
		require.Equal(t, contract.Held, got.Action)
	}

	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: a, Sequence: 2, State: contract.Quarantined, Reason: contract.ManualHold, Before: contract.Retrying, AtUnixMilli: 1, Verified: true,
		Decision: &contract.Decision{Intent: one, Action: contract.Held, Actor: "ann", Via: contract.ViaAPI},
	}))
	last, found, err := db.LastDecision(ctx, a.ID)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, contract.Held, last.Action)
}

// TestApprovalOfManyNamesItsReason: the one that the emails were chosen by.
func TestApprovalOfManyNamesItsReason(t *testing.T) {
	t.Parallel()
	db, conn := connect(t)
	ctx, a := t.Context(), acceptOne(t, db)
	for action, want := range map[contract.Action]contract.Reason{contract.Approve: contract.AttachmentMismatch, contract.Retry: ""} {
		replay := replayOf(t, conn, a)
		_, err := conn.Exec(ctx, `UPDATE replays SET action = $2, filter = '{"reason": "attachment_mismatch"}' WHERE id = $1`, replay, string(action))
		require.NoError(t, err)
		id, err := db.ReplayIntent(ctx, replay)
		require.NoError(t, err)
		got, err := db.Intent(ctx, contract.IntentInput{Email: a, Intent: id})
		require.NoError(t, err)
		require.Equal(t, want, got.Only, action)
	}
}

// TestIntentsThatMakeNoSense are refused by the schema itself.
func TestIntentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	good := ledger.Intent{EmailID: acceptOne(t, db).ID, Action: contract.Approve, Actor: "ann", Via: contract.ViaAPI, Note: "fine"}
	_, err := db.CreateIntent(ctx, good)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*ledger.Intent){
		"no email and no replay":    func(i *ledger.Intent) { i.EmailID = 0 },
		"an email and a replay":     func(i *ledger.Intent) { i.ReplayID = 1 },
		"unknown email":             func(i *ledger.Intent) { i.EmailID += 1000 },
		"unknown action":            func(i *ledger.Intent) { i.Action = "release" },
		"nobody":                    func(i *ledger.Intent) { i.Actor = "" },
		"a way past our API":        func(i *ledger.Intent) { i.Via = contract.ViaSignal },
		"no note":                   func(i *ledger.Intent) { i.Note = "\x00" },
		"an edit without its edit":  func(i *ledger.Intent) { i.Action = contract.Edited },
		"an edit with another word": func(i *ledger.Intent) { i.EditID = 1 },
		"unknown step":              func(i *ledger.Intent) { i.From = "enrol" },
	} {
		bad := good
		spoil(&bad)
		_, err := db.CreateIntent(ctx, bad)
		require.Error(t, err, name)
	}
}

// TestIntentsAge: an intent that was not taken for an hour is refused.
func TestIntentsAge(t *testing.T) {
	t.Parallel()
	db, conn := connect(t)
	ctx := t.Context()
	email := acceptOne(t, db)
	create := func(in ledger.Intent) int64 {
		t.Helper()
		in.Action, in.Actor, in.Note = contract.Approve, "ann", "fine"
		id, err := db.CreateIntent(ctx, in)
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "UPDATE intents SET created_at = now() - interval '2 hours' WHERE id = $1", id)
		require.NoError(t, err)
		return id
	}
	old := create(ledger.Intent{EmailID: email.ID, Via: contract.ViaAPI})
	_, err := db.Intent(ctx, contract.IntentInput{Email: email, Intent: old})
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
	paced := create(ledger.Intent{ReplayID: replayOf(t, conn, email), Via: contract.ViaReplay})
	_, err = db.Intent(ctx, contract.IntentInput{Email: email, Intent: paced})
	require.NoError(t, err, "a replay takes as long as it is told to")
}

// TestAttention belongs to the hold that lasts and ends with it.
func TestAttention(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	at := time.UnixMilli(1_790_000_000_000).UTC()
	record := func(sequence int64, state contract.State, missing int) {
		t.Helper()
		require.NoError(t, db.Record(ctx, contract.RecordInput{
			Email: email, Sequence: sequence, State: state, Missing: missing, AtUnixMilli: at.UnixMilli() + sequence,
		}))
	}
	attend := func(sequence int64, level int) {
		t.Helper()
		require.NoError(t, db.Attend(ctx, contract.RemindInput{
			Email: email, Level: level, Sequence: sequence, AtUnixMilli: at.UnixMilli() + 1000*int64(level),
		}))
	}
	check := func(level, missing int, since int64) {
		t.Helper()
		d, err := db.FindEmail(ctx, ledger.Lookup{EventID: "e"})
		require.NoError(t, err)
		require.Equal(t, level, d.Attention)
		require.Equal(t, missing, d.ApprovalsMissing)
		if level == 0 {
			require.Nil(t, d.AttentionAt)
		} else {
			require.Equal(t, at.Add(time.Duration(level)*time.Second), *d.AttentionAt)
		}
		if since == 0 {
			require.Nil(t, d.HeldAt)
			return
		}
		require.Equal(t, at.UnixMilli()+since, d.HeldAt.UnixMilli())
	}

	attend(9, contract.AttentionReminded)
	check(0, 0, 0)
	record(1, contract.Quarantined, 2)
	check(0, 2, 1)
	attend(1, contract.AttentionReminded)
	attend(1, contract.AttentionReminded)
	check(1, 2, 1)
	record(2, contract.Quarantined, 1)
	check(1, 1, 1)
	attend(2, contract.AttentionEscalated)
	attend(2, contract.AttentionReminded)
	check(2, 1, 1)
	record(3, contract.Processing, 0)
	check(0, 0, 0)
	record(4, contract.Quarantined, 0)
	attend(2, contract.AttentionEscalated)
	check(0, 0, 4)
}
