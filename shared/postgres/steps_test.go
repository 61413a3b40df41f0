package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
)

func manifest(id int64) ledger.Manifest {
	return ledger.Manifest{
		EmailID: id, RawKey: "body/aa/aabb", MIMEKey: "mime/cc/ccdd", Message: []byte(`{"subject":"s"}`),
		MessageID: "<m@x.example>", Subject: "Invoice\x00 \xff42", Sender: "a@x.example",
		Recipients: []string{"b@yourapp.example", "c@yourapp.example"},
		Attachments: []mail.Attachment{
			{Filename: "a.pdf", ContentType: "application/pdf", DeclaredSize: -1, Key: "aa/1", Size: 10, SHA256: "aa"},
			{Filename: "b.zip", ContentID: "cid", DeclaredSize: 7, DeclaredSHA256: "bb", URL: "https://x/y", SHA256: "bb"},
		},
	}
}

func acceptOne(t *testing.T, db *pgtest.DB) contract.Email {
	t.Helper()
	return accept(t, db, event("e", "body"))[0].Row.Email
}

// TestEarlierExistsForTheTenant: a mark of another tenant's email, of a later one or of
// the email itself says nothing.
func TestEarlierExistsForTheTenant(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	theirs := event("theirs", "x")
	theirs.Tenant = "other"
	first := accept(t, db, event("first", "x"))[0].Row.Email
	other := accept(t, db, theirs)[0].Row.Email
	back := accept(t, db, event("back", "x"))[0].Row.Email
	accept(t, db, event("back", "another body"))
	later := accept(t, db, event("later", "x"))[0].Row.Email
	for name, c := range map[string]struct {
		events []string
		rows   []int64
		want   bool
	}{
		"an event":          {events: []string{"nothing", "first"}, want: true},
		"a row":             {rows: []int64{first.ID}, want: true},
		"of another tenant": {events: []string{"theirs"}, rows: []int64{other.ID}},
		"itself":            {events: []string{"back"}, rows: []int64{back.ID}},
		"a later one":       {events: []string{"later"}, rows: []int64{later.ID}},
		"nothing":           {},
		"what no id can be": {events: []string{"\x00\xff", ""}, rows: []int64{-1, 1 << 62}},
	} {
		got, err := db.EarlierExists(ctx, back, c.events, c.rows)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestSaveManifest(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	_, err := db.Manifest(ctx, email.ID)
	require.True(t, fault.Is(err, fault.Internal), "an email that is not stored has no manifest: %v", err)

	require.NoError(t, db.SaveManifest(ctx, manifest(email.ID)))
	body, err := db.Body(ctx, email.ID)
	require.NoError(t, err)
	require.True(t, body.Stored)
	require.Equal(t, "body/aa/aabb", body.Key)
	require.Nil(t, body.Inline)
	require.Empty(t, claim(t, db, 10, lease), "the inbox row is gone")

	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: email, Sequence: 1, State: contract.Processing, Routes: []string{"support", "audit"},
	}))
	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: 2, State: contract.Processing}))
	got, err := db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	want := manifest(email.ID)
	want.Subject, want.Routes = "Invoice \uFFFD42", []string{"support", "audit"}
	require.False(t, got.ReceivedAt.IsZero())
	want.ReceivedAt = body.ReceivedAt
	require.Equal(t, &want, got)

	require.NoError(t, db.SaveManifest(ctx, ledger.Manifest{EmailID: email.ID, RawKey: "body/aa/aabb", Message: []byte("{}")}))
	got, err = db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Empty(t, got.Attachments)
	require.Equal(t, want.Routes, got.Routes)
}

// TestReportedIsKept: what the provider said reaches the row and the manifest.
func TestReportedIsKept(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	m := manifest(email.ID)
	m.Reported = mail.Reported{
		Auth: mail.Auth{SPF: "fail\x00", DKIM: "\"none\"", DMARC: "pass"}, Type: "email.received \xff",
		Timestamp: time.Date(2026, 11, 2, 9, 15, 0, 123e6, time.UTC), Mailbox: "support@yourapp.example",
	}
	require.NoError(t, db.SaveManifest(ctx, m))
	want := m.Reported
	want.Auth.SPF, want.Type = "fail", "email.received \uFFFD"
	got, err := db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, want, got.Reported)
	found, err := db.FindEmail(ctx, ledger.Lookup{EventID: "e"})
	require.NoError(t, err)
	require.Equal(t, want, found.Reported)

	m.Reported = mail.Reported{}
	require.NoError(t, db.SaveManifest(ctx, m))
	got, err = db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Zero(t, got.Reported)
}

// TestEqualMessageIDsAreFlagged: within a tenant, the newest earlier email.
func TestEqualMessageIDsAreFlagged(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	add := func(id, tenant string) int64 {
		e := event(id, "x")
		e.Tenant = tenant
		return accept(t, db, e)[0].Row.Email.ID
	}
	save := func(id int64, messageID string) {
		m := manifest(id)
		m.MessageID = messageID
		require.NoError(t, db.SaveManifest(ctx, m))
	}
	flag := func(id int64) string {
		m, err := db.Manifest(ctx, id)
		require.NoError(t, err)
		return m.PossibleDuplicateOf
	}
	const same = "<m@x.example>"
	a, theirs, b, c, other, none, empty := add("a", "default"), add("theirs", "acme"), add("b", "default"), add("c", "default"),
		add("other", "default"), add("none", "default"), add("empty", "default")
	save(a, same)
	save(theirs, same)
	require.Empty(t, flag(a), "the first")
	require.Empty(t, flag(theirs), "of another tenant")
	save(b, same)
	require.Equal(t, "a", flag(b))
	save(c, same)
	require.Equal(t, "b", flag(c), "the newest earlier one")
	save(other, "<M@x.example>")
	require.Empty(t, flag(other))
	save(none, "")
	save(empty, "")
	require.Empty(t, flag(empty), "no Message-ID equals no other")
	for _, id := range []int64{a, b, c} { // an edit lets the mail be stored again
		save(id, same)
	}
	require.Equal(t, []string{"", "a", "b"}, []string{flag(a), flag(b), flag(c)})
	found, err := db.FindEmail(ctx, ledger.Lookup{EventID: "c"})
	require.NoError(t, err)
	require.Equal(t, "b", found.PossibleDuplicateOf)

	// Stored in the other order: the one that is stored second is flagged.
	early, late := add("early", "default"), add("late", "default")
	save(late, "<late@x.example>")
	save(early, "<late@x.example>")
	save(late, "<late@x.example>")
	require.Equal(t, "late", flag(early))
}

func TestSaveManifestRepeatKeepsVerdicts(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	m := manifest(email.ID)
	require.NoError(t, db.SaveManifest(ctx, m))
	scanned := []mail.Attachment{
		{SHA256: "aa", DetectedType: "application/pdf", Verdict: mail.Clean},
		{SHA256: "bb", DetectedType: "application/zip", Verdict: mail.Infected, Signature: "Eicar-Test-Signature"},
	}
	require.NoError(t, db.SaveVerdicts(ctx, email.ID, scanned))

	require.NoError(t, db.SaveManifest(ctx, m))
	got, err := db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, mail.Clean, got.Attachments[0].Verdict)
	require.Equal(t, "application/zip", got.Attachments[1].DetectedType)
	require.Equal(t, mail.Infected, got.Attachments[1].Verdict)
	require.Equal(t, "Eicar-Test-Signature", got.Attachments[1].Signature)

	// Other bytes are not covered by the old verdict.
	m.Attachments[0].SHA256 = "other"
	require.NoError(t, db.SaveManifest(ctx, m))
	got, err = db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Empty(t, got.Attachments[0].Verdict)
	require.Equal(t, mail.Infected, got.Attachments[1].Verdict)

	require.Error(t, db.SaveVerdicts(ctx, email.ID, append(scanned, mail.Attachment{})), "a third one is not in the manifest")
}

func TestUnknownEmail(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	_, err := db.Body(ctx, 1)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	_, err = db.Manifest(ctx, 1)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	err = db.SaveManifest(ctx, manifest(1))
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: contract.Email{ID: 1}, Sequence: 1, State: contract.Delivered}))
}

func TestRecord(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	at := time.UnixMilli(1_790_000_001_000).UTC()
	record := func(sequence int64, state contract.State, reason contract.Reason, d *contract.Decision) {
		t.Helper()
		err := db.Record(ctx, contract.RecordInput{
			Email: email, Sequence: sequence, State: state, Reason: reason, Detail: "why", Decision: d,
			Before: contract.Quarantined, AtUnixMilli: at.UnixMilli(),
		})
		var by *ledger.Overruled
		if !errors.As(err, &by) {
			require.NoError(t, err)
		}
	}
	read := func() *ledger.EmailDetail {
		t.Helper()
		d, err := db.FindEmail(ctx, ledger.Lookup{EventID: "e"})
		require.NoError(t, err)
		return d
	}

	record(1, contract.Quarantined, contract.Infected, nil)
	require.Equal(t, contract.Quarantined, read().State)
	require.Nil(t, read().ClosedAt)

	approve := &contract.Decision{Action: contract.Approve, Actor: "ann", Note: "known\x00 sender", Via: "api"}
	record(2, contract.Processing, "", approve)
	record(3, contract.Delivered, "", nil)
	record(1, contract.Quarantined, contract.Infected, nil)
	record(2, contract.Processing, "", &contract.Decision{Action: contract.Discard, Actor: "bob", Via: "api"})
	record(3, contract.Discarded, "", nil)

	got := read()
	require.Equal(t, contract.Delivered, got.State, "an older or equal sequence changes nothing")
	require.Empty(t, got.Reason)
	require.Equal(t, at, *got.ClosedAt)
	require.Equal(t, []ledger.DecisionRow{{
		Action: contract.Approve, Actor: "ann", Via: "api", Note: "known sender", At: at,
		Before: contract.Quarantined, After: contract.Processing, Reason: contract.Infected,
	}}, got.Decisions)

	// A decision that arrives after a newer state is still kept.
	record(5, contract.Quarantined, contract.ManualHold, nil)
	require.Nil(t, read().ClosedAt)
	record(4, contract.Processing, "", approve)
	require.Equal(t, contract.Quarantined, read().State)
	require.Len(t, read().Decisions, 2)
}

func TestSaveDelivery(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	list, err := db.ListDeliveries(ctx, email.ID, "ticketing")
	require.NoError(t, err)
	require.Empty(t, list)

	d := ledger.Delivery{
		EmailID: email.ID, Destination: "ticketing", State: ledger.Retrying, IdempotencyKey: "mr_1", Attempts: 2,
		LastStatus: 503, LastError: "the destination answered 503", NextAttemptAt: time.UnixMilli(1_790_000_002_000).UTC(),
	}
	require.NoError(t, db.SaveDelivery(ctx, d))
	list, err = db.ListDeliveries(ctx, email.ID, "ticketing")
	require.NoError(t, err)
	require.Equal(t, []ledger.Delivery{d}, unstamped(t, list))

	done := d
	done.State, done.Attempts, done.LastStatus, done.LastError = ledger.Delivered, 3, 200, ""
	done.NextAttemptAt, done.DeliveredAt = time.Time{}, time.UnixMilli(1_790_000_003_000).UTC()
	require.NoError(t, db.SaveDelivery(ctx, done))
	for _, state := range []ledger.DeliveryState{ledger.Retrying, ledger.Rejected, ledger.Ambiguous, ledger.Delivered} {
		late := d
		late.State, late.Attempts = state, 9
		require.NoError(t, db.SaveDelivery(ctx, late))
	}
	list, err = db.ListDeliveries(ctx, email.ID, "ticketing")
	require.NoError(t, err)
	require.Equal(t, []ledger.Delivery{done}, unstamped(t, list), "delivered is the end")

	// A replay's is a row of its own, and keeps the hash of what was sent.
	second := d
	second.Effect, second.ContentSHA256 = "replay-3", slices.Repeat([]byte{7}, 32)
	require.NoError(t, db.SaveDelivery(ctx, second))
	skipped := second
	skipped.State, skipped.ContentSHA256 = ledger.Skipped, nil
	require.NoError(t, db.SaveDelivery(ctx, skipped))
	require.NoError(t, db.SaveDelivery(ctx, second), "skipped is an end as well")
	skipped.ContentSHA256 = second.ContentSHA256
	list, err = db.ListDeliveries(ctx, email.ID, "ticketing")
	require.NoError(t, err)
	require.Equal(t, []ledger.Delivery{done, skipped}, unstamped(t, list))
}

// unstamped takes the times out that the database has set, which are of now.
func unstamped(t *testing.T, list []ledger.Delivery) []ledger.Delivery {
	t.Helper()
	for i := range list {
		require.WithinDuration(t, time.Now(), list[i].UpdatedAt, time.Minute)
		list[i].UpdatedAt = time.Time{}
	}
	return list
}

// TestOvertakenAttemptMakesNoCall: to announce an attempt at what is delivered fails.
func TestOvertakenAttemptMakesNoCall(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	d := ledger.Delivery{EmailID: acceptOne(t, db).ID, Destination: "legacy", State: ledger.Attempting, IdempotencyKey: "k"}
	require.NoError(t, db.SaveDelivery(ctx, d))
	d.State = ledger.Delivered
	require.NoError(t, db.SaveDelivery(ctx, d))
	d.State = ledger.Attempting
	require.Error(t, db.SaveDelivery(ctx, d))
	d.State = ledger.Retrying
	require.NoError(t, db.SaveDelivery(ctx, d), "what comes late is passed over")
	list, err := db.ListDeliveries(ctx, d.EmailID, d.Destination)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, ledger.Delivered, list[0].State)
}

// TestVerdictsBelongToTheirBytes: a verdict on other bytes is not taken.
func TestVerdictsBelongToTheirBytes(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	m := manifest(email.ID)
	require.NoError(t, db.SaveManifest(ctx, m))
	seen := slices.Clone(m.Attachments)
	for i := range seen {
		seen[i].Verdict = mail.Clean
	}
	require.NoError(t, db.SaveVerdicts(ctx, email.ID, seen))
	seen[0].SHA256 = "other"
	require.Error(t, db.SaveVerdicts(ctx, email.ID, seen))
}

// TestRecipientsLeftOutAreKept: what the last routing found is what the record says.
func TestRecipientsLeftOutAreKept(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	require.NoError(t, db.SaveManifest(ctx, manifest(email.ID)))
	for _, list := range [][]string{{"a@elsewhere.example", "b@elsewhere.example"}, {"c@elsewhere.example"}, nil} {
		unmatched := []string{"sales@yourapp.example"}[:min(len(list), 1)]
		for range 2 {
			require.NoError(t, db.SaveLeftOut(ctx, email.ID, list, unmatched))
		}
		m, err := db.Manifest(ctx, email.ID)
		require.NoError(t, err)
		require.Equal(t, list, m.Foreign)
		require.ElementsMatch(t, unmatched, m.Unmatched)
		detail, err := db.FindEmail(ctx, ledger.Lookup{EventID: email.EventID})
		require.NoError(t, err)
		rows, _, err := db.ListEmails(ctx, ledger.Filter{})
		require.NoError(t, err)
		for _, shown := range []ledger.EmailRow{detail.EmailRow, rows[0]} {
			require.Equal(t, append([]string{}, list...), shown.Foreign)
			require.Equal(t, unmatched, shown.Unmatched)
		}
		h, err := db.History(ctx, email.ID)
		require.NoError(t, err)
		require.Equal(t, unmatched, h.Email.Unmatched)
	}
	require.True(t, fault.Is(db.SaveLeftOut(ctx, email.ID+1, nil, nil), fault.NotFound))
}
