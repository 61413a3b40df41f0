package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
)

func TestListOutages(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	scanner := heldEmails(t, db, "s", 2, contract.ScannerUnavailable)
	exhausted := heldEmails(t, db, "d", 2, contract.DownstreamExhausted)
	heldEmails(t, db, "u", 1, contract.Unroutable)
	for _, d := range []ledger.Delivery{
		{EmailID: exhausted[0].ID, Destination: "a", State: ledger.Retrying, IdempotencyKey: "k"},
		{EmailID: exhausted[1].ID, Destination: "a", State: ledger.Delivered, IdempotencyKey: "k"},
		{EmailID: exhausted[1].ID, Destination: "b", State: ledger.Retrying, IdempotencyKey: "k"},
	} {
		require.NoError(t, db.SaveDelivery(ctx, d))
	}
	list, err := db.ListOutages(ctx)
	require.NoError(t, err)
	var causes []string
	for _, h := range list {
		causes = append(causes, h.Cause)
	}
	require.Equal(t, []string{"downstream_exhausted:a", "downstream_exhausted:b", "scanner_unavailable"}, causes)
	require.EqualValues(t, 2, list[2].Count)
	e, found, err := db.Canary(ctx, list[1], 0)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, exhausted[1].ID, e.ID)
	e, _, err = db.Canary(ctx, list[2], 1)
	require.NoError(t, err)
	require.Equal(t, scanner[1].ID, e.ID)
	_, found, err = db.Canary(ctx, list[2], 2)
	require.NoError(t, err)
	require.False(t, found)

	in := newReplay(ledger.Filter{Reason: contract.ScannerUnavailable})
	in.Cause, in.Via = "scanner_unavailable", contract.ViaSystem
	createReplay(t, db, in)
	list, err = db.ListOutages(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2, "it is taken care of")

	r, err := db.Recovery(ctx, "x")
	require.NoError(t, err)
	require.Equal(t, ledger.Recovery{Cause: "x"}, r)
	r.Canary, r.Failures, r.TriedAt, r.NextAt = 7, 2, time.UnixMilli(5).UTC(), time.UnixMilli(9).UTC()
	require.NoError(t, db.SaveRecovery(ctx, r))
	got, err := db.Recovery(ctx, "x")
	require.NoError(t, err)
	require.Equal(t, r, got)
}

// TestRemoveContent: the record stays, and so does what another email has.
func TestRemoveContent(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	old, other := acceptOne(t, db), accept(t, db, event("other", "another"))[0].Row.Email
	m := manifest(old.ID)
	require.NoError(t, db.SaveManifest(ctx, m))
	theirs := manifest(other.ID)
	theirs.RawKey, theirs.MIMEKey = "body/other", "mime/other"
	require.NoError(t, db.SaveManifest(ctx, theirs))
	for _, e := range []contract.Email{old, other} {
		subject := "a new subject"
		_, err := db.CreateEdit(ctx, ledger.NewEdit{
			EmailID: e.ID, Actor: "olga", Note: "typo", Edit: contract.Edit{Headers: map[string]*string{"subject": &subject}},
			Changes: []ledger.Change{{Field: "subject", Before: "the subject", After: subject}},
		})
		require.NoError(t, err)
	}
	discarded := time.Now().Add(-time.Hour)
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: old, Sequence: discarded.UnixMilli(), State: contract.Discarded, Reason: contract.Infected, AtUnixMilli: discarded.UnixMilli(),
	}))
	n, err := db.RemoveContent(ctx, discarded.Add(-time.Minute), 10)
	require.NoError(t, err)
	require.Zero(t, n, "too early")
	n, err = db.RemoveContent(ctx, time.Now(), 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	n, err = db.RemoveContent(ctx, time.Now(), 10)
	require.NoError(t, err)
	require.Zero(t, n, "a repeat finds nothing")

	d, err := db.FindEmail(ctx, ledger.Lookup{EventID: old.EventID})
	require.NoError(t, err)
	require.Equal(t, contract.Discarded, d.State)
	require.Empty(t, d.Subject)
	require.Equal(t, m.Sender, d.From)
	require.Equal(t, m.Recipients, d.To)
	require.Len(t, d.Attachments, 2)
	require.Equal(t, "aa", d.Attachments[0].SHA256)
	require.Equal(t, mail.Attachment{}.Key, d.Attachments[0].Key)
	_, err = db.Body(ctx, old.ID)
	require.Error(t, err)
	for id, left := range map[int64]int{old.ID: 0, other.ID: 1} {
		edits, err := db.Edits(ctx, id)
		require.NoError(t, err)
		require.Len(t, edits, 1, "that it was edited stays")
		require.Equal(t, "typo", edits[0].Note)
		require.Len(t, edits[0].Changes, left, "the values of an edit are content")
		require.Len(t, edits[0].Edit.Headers, left)
	}

	list, err := db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []ledger.UnwantedObject{{Bucket: "raw", Key: "body/aa/aabb"}, {Bucket: "raw", Key: "mime/cc/ccdd"}}, list,
		"the attachments are those of the other email as well")
	for _, o := range list {
		require.NoError(t, db.EndRemoval(ctx, o))
	}
	list, err = db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	entries, err := db.Audit(ctx, 0, 10)
	require.NoError(t, err)
	require.Equal(t, "discard_content", entries[len(entries)-1].Kind)
	require.Equal(t, old.ID, entries[len(entries)-1].EmailID)
}
