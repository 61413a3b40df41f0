package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// sixEmails are e0 to e5: two held, four on their way, the last two of another source and tenant.
func sixEmails(t *testing.T) *pgtest.DB {
	t.Helper()
	db, ctx := pgtest.New(t), t.Context()
	for i := range 6 {
		a := event(fmt.Sprintf("e%d", i), "body")
		if i >= 4 {
			a.Source, a.Tenant = "postmark", "acme"
		}
		email := accept(t, db, a)[0].Row.Email
		m := manifest(email.ID)
		m.Subject = fmt.Sprintf("Order 100%% %d", i)
		require.NoError(t, db.SaveManifest(ctx, m))
		if i < 2 {
			require.NoError(t, db.Record(ctx, contract.RecordInput{
				Email: email, Sequence: 1, State: contract.Quarantined,
				Reason: []contract.Reason{contract.Infected, contract.Unroutable}[i],
			}))
		}
	}
	return db
}

func TestListEmails(t *testing.T) {
	t.Parallel()
	db, ctx := sixEmails(t), t.Context()
	for name, tc := range map[string]struct {
		filter ledger.Filter
		want   []string
	}{
		"all, newest first":    {ledger.Filter{}, []string{"e5", "e4", "e3", "e2", "e1", "e0"}},
		"state":                {ledger.Filter{State: contract.Quarantined}, []string{"e1", "e0"}},
		"state and reason":     {ledger.Filter{State: contract.Quarantined, Reason: contract.Infected}, []string{"e0"}},
		"source":               {ledger.Filter{Source: "postmark"}, []string{"e5", "e4"}},
		"tenant":               {ledger.Filter{Tenant: "acme"}, []string{"e5", "e4"}},
		"tenants of the asker": {ledger.Filter{Tenants: []string{"acme", "other"}}, []string{"e5", "e4"}},
		"not the tenant's":     {ledger.Filter{Tenants: []string{"acme"}, Tenant: "default"}, []string{}},
		"no tenant at all":     {ledger.Filter{Tenants: []string{}}, []string{}},
		"event id":             {ledger.Filter{Query: "E3"}, []string{"e3"}},
		"subject":              {ledger.Filter{Query: "order 100% 2"}, []string{"e2"}},
		"no wildcards":         {ledger.Filter{Query: "order%2"}, []string{}},
		"no single wildcards":  {ledger.Filter{Query: "e_"}, []string{}},
		"backslash":            {ledger.Filter{Query: `\`}, []string{}},
		"recipient":            {ledger.Filter{Query: "C@yourapp", Limit: 1000, Tenant: "acme"}, []string{"e5", "e4"}},
		"message id":           {ledger.Filter{Query: "m@x.example", Source: "postmark"}, []string{"e5", "e4"}},
		"broken text":          {ledger.Filter{Query: "e3\x00", State: "\x00processing"}, []string{"e3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, next, err := db.ListEmails(ctx, tc.filter)
			require.NoError(t, err)
			require.Empty(t, next)
			require.Equal(t, tc.want, ids(list))
		})
	}

	var all []string
	cursor := ""
	for range 3 {
		list, next, err := db.ListEmails(ctx, ledger.Filter{Limit: 2, Cursor: cursor})
		require.NoError(t, err)
		all, cursor = append(all, ids(list)...), next
	}
	require.Empty(t, cursor)
	require.Equal(t, []string{"e5", "e4", "e3", "e2", "e1", "e0"}, all)

	for _, bad := range []string{"x", "AAAAAAAAAAA", "__________8", "!!!"} {
		_, _, err := db.ListEmails(ctx, ledger.Filter{Cursor: bad})
		require.True(t, fault.Is(err, fault.RequestInvalid), "%q: %v", bad, err)
	}
}

func ids(list []ledger.EmailRow) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].EventID
	}
	return out
}

func TestFindEmail(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	first := accept(t, db, event("e", "one"))[0].Row.Email
	conflict := accept(t, db, event("e", "two"))[0].Row.Email
	other := event("e", "three")
	other.Source, other.WorkflowID = "postmark", "postmark/e"
	newest := accept(t, db, other)[0].Row.Email

	got, err := db.FindEmail(ctx, ledger.Lookup{Source: contract.FirstSource, EventID: "e"})
	require.NoError(t, err)
	require.Equal(t, first, got.Email())
	require.Empty(t, got.DuplicateOf)
	got, err = db.FindEmail(ctx, ledger.Lookup{EventID: "e"})
	require.NoError(t, err)
	require.Equal(t, newest, got.Email())
	got, err = db.FindEmail(ctx, ledger.Lookup{EventID: conflict.WorkflowID})
	require.NoError(t, err)
	require.Equal(t, conflict, got.Email())
	require.Equal(t, "e", got.DuplicateOf)

	for _, missing := range [][2]string{{"", "nothing"}, {"nowhere", "e"}, {"", ""}, {"", "\x00\xff"}} {
		_, err = db.FindEmail(ctx, ledger.Lookup{Source: missing[0], EventID: missing[1]})
		require.True(t, fault.Is(err, fault.NotFound), "%q: %v", missing, err)
	}

	// An email about which nothing is known yet has lists, not nulls.
	text, err := json.Marshal(got)
	require.NoError(t, err)
	require.NotContains(t, string(text), `"attachments":null`)
	require.NotContains(t, string(text), `"to":null`)
	require.Contains(t, string(text), `"closed_at":null`)
	require.Contains(t, string(text), `"received_at":"2026-09-21T`)

	require.NoError(t, db.SaveManifest(ctx, manifest(first.ID)))
	require.NoError(t, db.SaveVerdicts(ctx, first.ID, []mail.Attachment{{SHA256: "aa", Verdict: mail.Clean}}))
	require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{
		EmailID: first.ID, Destination: "ticketing", State: ledger.Rejected, IdempotencyKey: "mr_1", Attempts: 1, LastStatus: 400,
	}))
	got, err = db.FindEmail(ctx, ledger.Lookup{Source: contract.FirstSource, EventID: "e"})
	require.NoError(t, err)
	require.Equal(t, "a@x.example", got.From)
	require.Len(t, got.Attachments, 2)
	require.Equal(t, mail.Clean, got.Attachments[0].Verdict)
	require.Equal(t, "aa/1", got.Attachments[0].Key)
	require.Equal(t, []ledger.DeliveryRow{{
		Destination: "ticketing", State: ledger.Rejected, Attempts: 1, LastStatus: 400, IdempotencyKey: "mr_1",
	}}, got.Deliveries)
}

func TestMatches(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	accept(t, db, event("e", "one"))
	conflict := accept(t, db, event("e", "two"))[0].Row.Email
	accept(t, db, event("alone", "three"))
	other := event("e", "four")
	other.Source, other.WorkflowID = "postmark", "postmark/e"
	accept(t, db, other)
	sources := func(id string) []string {
		got, err := db.Matches(ctx, ledger.Lookup{EventID: id})
		require.NoError(t, err)
		list := make([]string, len(got))
		for i := range got {
			list[i] = got[i].Source
		}
		return list
	}
	for id, want := range map[string][]string{
		"e": {"postmark", contract.FirstSource}, conflict.WorkflowID: {contract.FirstSource},
		"alone": {contract.FirstSource}, "nothing": {}, "": {}, "\x00\xff": {},
	} {
		require.Equal(t, want, sources(id), "%q", id)
	}
	// Another source may choose an id that looks like a conflicting email's.
	mimic := event(conflict.WorkflowID, "five")
	mimic.Source, mimic.WorkflowID = "postmark", "postmark/mimic"
	accept(t, db, mimic)
	require.Equal(t, []string{"postmark", contract.FirstSource}, sources(conflict.WorkflowID))
}

// TestConflictIsFoundByItsNumber: an event whose own id is the workflow ID of a
// conflicting email was found in its place, so that a decision went to the wrong one.
func TestConflictIsFoundByItsNumber(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	first := accept(t, db, event("e", "one"))[0].Row.Email
	conflict := accept(t, db, event("e", "two"))[0].Row.Email
	mimic := accept(t, db, event(conflict.WorkflowID, "three"))[0].Row.Email
	got, err := db.FindEmail(ctx, ledger.Lookup{EventID: conflict.WorkflowID})
	require.NoError(t, err)
	require.Equal(t, mimic.ID, got.ID)
	matches, err := db.Matches(ctx, ledger.Lookup{EventID: conflict.WorkflowID, Source: contract.FirstSource})
	require.NoError(t, err)
	require.Equal(t, []ledger.Match{{Number: mimic.ID, Source: contract.FirstSource}, {Number: conflict.ID, Source: contract.FirstSource}}, matches)

	for _, e := range []contract.Email{first, conflict, mimic} {
		got, err := db.FindEmail(ctx, ledger.Lookup{Number: e.ID, Tenants: []string{e.Tenant}})
		require.NoError(t, err)
		require.Equal(t, e, got.Email())
		_, err = db.FindEmail(ctx, ledger.Lookup{Number: e.ID, Tenants: []string{"another"}})
		require.True(t, fault.Is(err, fault.NotFound), err)
	}
	_, err = db.FindEmail(ctx, ledger.Lookup{Number: -1})
	require.True(t, fault.Is(err, fault.NotFound), err)
}

// TestLookupStaysWithinItsTenants: without a source the newest email of any tenant was
// taken, and then not shown, although the caller's own tenant has one of that id.
func TestLookupStaysWithinItsTenants(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	mine := accept(t, db, event("e", "one"))[0].Row.Email
	theirs := event("e", "two")
	theirs.Source, theirs.WorkflowID, theirs.Tenant = "postmark", "postmark/e", "theirs"
	other := accept(t, db, theirs)[0].Row.Email

	for id, tenants := range map[int64][]string{mine.ID: {mine.Tenant}, other.ID: nil} {
		got, err := db.FindEmail(ctx, ledger.Lookup{EventID: "e", Tenants: tenants})
		require.NoError(t, err)
		require.Equal(t, id, got.ID)
	}
	matches, err := db.Matches(ctx, ledger.Lookup{EventID: "e", Tenants: []string{mine.Tenant}})
	require.NoError(t, err)
	require.Equal(t, []ledger.Match{{Number: mine.ID, Source: mine.Source}}, matches)
	_, err = db.FindEmail(ctx, ledger.Lookup{EventID: "e", Tenants: []string{}})
	require.True(t, fault.Is(err, fault.NotFound), "no tenant is not every tenant: %v", err)
	_, err = db.FindEmail(ctx, ledger.Lookup{EventID: "e", Source: "postmark", Tenants: []string{mine.Tenant}})
	require.True(t, fault.Is(err, fault.NotFound), err)
}

// Messages of the driver may quote the URL, which holds the password.
func TestOpenNeverQuotesTheURL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://u:hunter2@[::1/x", postgres.Config{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	err = postgres.Migrate(t.Context(), "postgres://u:hunter2@[::1/x")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

// A page of mail to thousands once had every recipient of each: gigabytes for the page.
func TestListOfMailToThousandsIsShort(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("%d.%s@elsewhere.example", i, strings.Repeat("ü", 300))
	}
	email := acceptOne(t, db)
	require.NoError(t, db.SaveManifest(ctx, ledger.Manifest{EmailID: email.ID, RawKey: "body/aa/aa", Message: []byte("{}"), Recipients: many}))
	require.NoError(t, db.SaveLeftOut(ctx, email.ID, many, many))

	list, _, err := db.ListEmails(ctx, ledger.Filter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, len(many), list[0].ToCount)
	for _, shown := range [][]string{list[0].To, list[0].Foreign, list[0].Unmatched} {
		require.Len(t, shown, ledger.ListedRecipients)
		for i, text := range shown {
			require.Equal(t, string([]rune(many[i])[:min(ledger.ListedAddress, len([]rune(many[i])))]), text)
		}
	}
	found, err := db.FindEmail(ctx, ledger.Lookup{Number: email.ID})
	require.NoError(t, err)
	require.Equal(t, many, found.To)
	require.Equal(t, many, found.Foreign)
	require.Equal(t, many, found.Unmatched)
}
