package postgres_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/ledgertest"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

const (
	manyEmails = 100_000
	manyHeld   = 10_000
)

// fillLedger returns a ledger with so many emails.
func fillLedger(t testing.TB, emails, held int) (*pgtest.DB, *pgx.Conn) {
	t.Helper()
	url := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, _, err = ledgertest.Fill(t.Context(), conn, emails, held)
	require.NoError(t, err)
	return pgtest.Open(t, url, 4), conn
}

// hard are questions that a plan can go wrong on.
func hard(now time.Time) map[string]ledger.Filter {
	const half = manyEmails / 2 * ledgertest.Every
	return map[string]ledger.Filter{
		"all":                      {},
		"held":                     {State: contract.Quarantined},
		"held for a reason":        {State: contract.Quarantined, Reason: contract.Infected},
		"discarded":                {State: contract.Discarded},
		"processing, none":         {State: contract.Processing},
		"delivered":                {State: contract.Delivered},
		"rare word":                {Query: ledgertest.RareWord},
		"rare word, held":          {Query: ledgertest.RareWord, State: contract.Quarantined},
		"common word":              {Query: "invoice"},
		"common word, held":        {Query: "invoice", State: contract.Quarantined, Reason: contract.Infected},
		"old word":                 {Query: ledgertest.OldWord},
		"old word, held":           {Query: ledgertest.OldWord, State: contract.Quarantined},
		"no match":                 {Query: "xylophone quartz"},
		"two letters":              {Query: "vo"},
		"two letters, no match":    {Query: "qz"},
		"in all":                   {Query: "example"},
		"number":                   {Query: "#12345"},
		"sender":                   {Sender: ledgertest.RareSender},
		"sender, domain":           {Sender: "@partner7.example"},
		"sender, no match":         {Sender: "yourapp"},
		"recipient":                {Recipient: "sales@"},
		"recipient, no match":      {Recipient: "partner"},
		"rare destination":         {Destination: ledgertest.RareDestination},
		"common destination":       {Destination: "archive"},
		"no destination":           {Destination: "nowhere"},
		"rare tenant":              {Tenant: ledgertest.RareTenant},
		"rare source":              {Source: ledgertest.RareSource},
		"no tenants":               {Tenants: []string{}},
		"rare tenants":             {Tenants: []string{ledgertest.RareTenant, "none"}},
		"rare tenant, held":        {Tenants: []string{ledgertest.RareTenant}, State: contract.Quarantined},
		"until long ago":           {Until: now.Add(-half)},
		"since half":               {Since: now.Add(-half)},
		"an hour long ago":         {Since: now.Add(-half), Until: now.Add(-half + time.Hour)},
		"hour, word, state":        {Since: now.Add(-half), Until: now.Add(-half + time.Hour), Query: "invoice", State: contract.Delivered},
		"everything at once":       {State: contract.Delivered, Source: contract.FirstSource, Tenant: "default", Query: "refund", Sender: "partner", Recipient: "sales", Destination: "archive", Since: now.Add(-half)},
		"destination of rare word": {Query: ledgertest.RareWord, Destination: "ticketing"},
	}
}

// TestSearchFinds: every question gets the answer that reading all rows would give.
func TestSearchFinds(t *testing.T) {
	t.Parallel()
	db, conn := fillLedger(t, 12_000, 1200)
	for name, f := range hard(time.Now()) {
		t.Run(name, func(t *testing.T) {
			if !f.Until.IsZero() || !f.Since.IsZero() { // half of a smaller ledger
				shift := func(at time.Time) time.Time {
					if at.IsZero() {
						return at
					}
					return at.Add((manyEmails - 12_000) / 2 * ledgertest.Every)
				}
				f.Since, f.Until = shift(f.Since), shift(f.Until)
			}
			want := slowly(t, conn, f)
			var got []string
			for f.Limit = ledger.MaxLimit; ; {
				page, next, err := db.ListEmails(t.Context(), f)
				require.NoError(t, err)
				got = append(got, ids(page)...)
				if next == "" {
					break
				}
				f.Cursor = next
			}
			require.Equal(t, want, got)
		})
	}
}

// TestSearchGoesSoFarPerPage: what no index finds is looked for page by page, each
// going so far, and is found in the end.
func TestSearchGoesSoFarPerPage(t *testing.T) {
	t.Parallel()
	db, conn := fillLedger(t, 50_000, 500)
	for _, row := range []struct {
		f     ledger.Filter
		pages int // 0: any number
	}{
		{ledger.Filter{Query: "qz"}, 3},
		{ledger.Filter{Query: "qz", Tenants: []string{"default"}}, 3},
		{ledger.Filter{Query: "qz", State: contract.Quarantined}, 1},
		{ledger.Filter{Query: "qzx"}, 1},
		{ledger.Filter{Query: "#9"}, 0},
		{ledger.Filter{Sender: "@q"}, 0},
	} {
		want := slowly(t, conn, row.f)
		var got []string
		pages := 0
		for row.f.Limit = ledger.MaxLimit; pages == 0 || row.f.Cursor != ""; pages++ {
			page, next, err := db.ListEmails(t.Context(), row.f)
			require.NoError(t, err)
			got = append(got, ids(page)...)
			row.f.Cursor = next
		}
		require.Equal(t, want, got, "%+v", row.f)
		if row.pages > 0 {
			require.Equal(t, row.pages, pages, "%+v", row.f)
		}
	}
}

// slowly reads every row.
func slowly(t *testing.T, conn *pgx.Conn, f ledger.Filter) []string {
	t.Helper()
	like := func(s string) string { return "%" + s + "%" }
	rows, err := conn.Query(t.Context(), `
SELECT event_id FROM emails e
 WHERE (@state = '' OR state = @state) AND (@reason = '' OR reason = @reason) AND (@source = '' OR source = @source)
   AND (@tenant = '' OR tenant = @tenant) AND (@every::bool OR tenant = ANY(@tenants))
   AND received_at >= @since::timestamptz AND (@until::timestamptz = '0001-01-01'::timestamptz OR received_at < @until)
   AND (event_id ILIKE @q OR message_id ILIKE @q OR subject ILIKE @q OR sender ILIKE @q OR recipients[1] ILIKE @q)
   AND sender ILIKE @sender AND recipients[1] ILIKE @recipient
   AND (@destination = '' OR EXISTS (SELECT FROM deliveries WHERE email_id = e.id AND destination = @destination))
 ORDER BY id DESC`, pgx.QueryExecModeExec, pgx.NamedArgs{
		"state": string(f.State), "reason": string(f.Reason), "source": f.Source, "tenant": f.Tenant, "every": f.Tenants == nil,
		"tenants": append([]string{}, f.Tenants...), "since": f.Since, "until": f.Until, "q": like(f.Query),
		"sender": like(f.Sender), "recipient": like(f.Recipient), "destination": f.Destination,
	})
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	if len(list) == 0 {
		return nil
	}
	return list
}

// BenchmarkSearch reports the 95th percentile of a page, the first and a deep one.
func BenchmarkSearch(b *testing.B) {
	db, _ := fillLedger(b, manyEmails, manyHeld)
	questions := hard(time.Now())
	for _, name := range slices.Sorted(maps.Keys(questions)) {
		f := questions[name]
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) { measure(b, db, f) })
	}
}

func measure(b *testing.B, db *pgtest.DB, f ledger.Filter) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		_, next, err := db.ListEmails(b.Context(), f)
		require.NoError(b, err)
		took = append(took, time.Since(began))
		if f.Cursor = next; len(took)%5 == 0 {
			f.Cursor = ""
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}

// TestPlans: a question that few of 100,000 emails answer reads no table whole, whatever
// else is in it, and neither does the overview.
func TestPlans(t *testing.T) {
	t.Parallel()
	db, conn := fillLedger(t, manyEmails, manyHeld)
	t.Run("search", func(t *testing.T) { searchPlans(t, conn) })         //nolint:paralleltest // filling takes longest
	t.Run("overview", func(t *testing.T) { overviewPlans(t, db, conn) }) //nolint:paralleltest // filling takes longest
}

func searchPlans(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	questions := hard(time.Now())
	for _, name := range []string{
		"held", "held for a reason", "discarded", "processing, none", "rare word", "rare word, held", "no match", "number",
		"sender", "sender, no match", "recipient, no match", "rare destination", "no destination", "rare tenant", "rare source", "rare tenants", "rare tenant, held",
		"an hour long ago", "hour, word, state", "destination of rare word",
	} {
		sql, args := postgres.SearchSQL(questions[name])
		plan := explain(t, conn, sql, args)
		require.NotContains(t, plan, "Seq Scan on emails", name+"\n"+plan)
		require.NotContains(t, plan, "Seq Scan on email_search ", name+"\n"+plan)
	}
	// A message id to the letter.
	sql, args := postgres.ExactSQL("<8a1c@mail3.example>")
	plan := explain(t, conn, sql, args)
	require.NotContains(t, plan, "Seq Scan on emails", plan)
	require.NotContains(t, plan, "Seq Scan on email_search ", plan)
}

// TestSearchBeforeTheIndex: an email is found from its acceptance on, in the same
// words before and after its text is indexed.
func TestSearchBeforeTheIndex(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	find := func(f ledger.Filter) []string {
		t.Helper()
		list, _, err := db.ListEmails(ctx, f)
		require.NoError(t, err)
		return ids(list)
	}
	email := accept(t, db, event("Evt-Long-Id", "body"))[0].Row.Email
	require.Equal(t, []string{"Evt-Long-Id"}, find(ledger.Filter{Query: "long"}))
	require.Equal(t, []string{"Evt-Long-Id"}, find(ledger.Filter{Query: "Evt-Long-Id"}))
	require.Empty(t, find(ledger.Filter{Sender: "long"}))

	m := manifest(email.ID)
	m.MessageID, m.Subject, m.Sender, m.Recipients = "<A1@mx.example>", "Größe\nand\x00 100%", "Ann@Partner.example", []string{"x@a.example", "y@b.example"}
	require.NoError(t, db.SaveManifest(ctx, m))
	check := func() {
		t.Helper()
		for _, f := range []ledger.Filter{
			{Query: "GRÖSSE and"}, {Query: "größe and 100%"}, {Query: "a1@mx"}, {Query: "a1@MX.example"}, {Query: "<a1@mx.example>"},
			{Sender: "ann@"}, {Recipient: "Y@B"}, {Sender: "partner", Recipient: "x@a", Query: "100%"}, {Query: "long-id"},
		} {
			want := []string{"Evt-Long-Id"}
			if f.Query == "GRÖSSE and" { // ß has no capital of one letter
				want = []string{}
			}
			require.Equal(t, want, find(f), "%+v", f)
		}
		for _, f := range []ledger.Filter{
			{Query: "partner", Sender: "x@a"}, {Sender: "y@b"}, {Recipient: "ann"}, {Query: "100_"}, {Recipient: "a1@mx"},
		} {
			require.Empty(t, find(f), "%+v", f)
		}
	}
	check()
	moved, err := db.IndexSearch(ctx, 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, moved)
	check()

	// The store step runs again and finds something else.
	m.Subject = "other"
	require.NoError(t, db.SaveManifest(ctx, m))
	require.Equal(t, []string{"Evt-Long-Id"}, find(ledger.Filter{Query: "other"}))
	moved, err = db.IndexSearch(ctx, 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, moved)
	require.Equal(t, []string{"Evt-Long-Id"}, find(ledger.Filter{Query: "other"}))
	require.Empty(t, find(ledger.Filter{Query: "größe"}))
	moved, err = db.IndexSearch(ctx, 10)
	require.NoError(t, err)
	require.Zero(t, moved)
}

// TestSearchExact: a whole id chooses its emails alone, and tells nothing of those
// of other tenants.
func TestSearchExact(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	for _, id := range []string{"evt_1", "evt_10", "evt_100"} {
		a := event(id, "body")
		if id == "evt_1" {
			a.Tenant = "acme"
		}
		accept(t, db, a)
	}
	conflict := accept(t, db, event("evt_10", "another"))[0].Row.Email
	for _, tc := range []struct {
		filter ledger.Filter
		want   []string
	}{
		{ledger.Filter{Query: "evt_1"}, []string{"evt_1"}},
		{ledger.Filter{Query: "evt_10"}, []string{"evt_10", "evt_10"}},
		{ledger.Filter{Query: conflict.WorkflowID}, []string{"evt_10"}},
		{ledger.Filter{Query: "EVT_1"}, []string{"evt_10", "evt_100", "evt_10", "evt_1"}},
		{ledger.Filter{Query: "evt_1", Tenants: []string{"default"}}, []string{"evt_10", "evt_100", "evt_10"}},
		{ledger.Filter{Query: "evt_1", Tenants: []string{}}, []string{}},
	} {
		list, _, err := db.ListEmails(ctx, tc.filter)
		require.NoError(t, err)
		require.Equal(t, tc.want, ids(list), "%+v", tc.filter)
	}
}

// TestSearchWithoutTrigrams: a server without pg_trgm migrates and searches all the same.
func TestSearchWithoutTrigrams(t *testing.T) {
	t.Parallel()
	db, conn := fillLedger(t, 3000, 300)
	_, err := conn.Exec(t.Context(), "DROP EXTENSION pg_trgm CASCADE")
	require.NoError(t, err)
	list, _, err := db.ListEmails(t.Context(), ledger.Filter{Query: ledgertest.RareWord})
	require.NoError(t, err)
	require.Len(t, list, 2)

	// A role that may not create it gets a sentence and no failed migration.
	_, err = conn.Exec(t.Context(), `
DO $$ BEGIN CREATE ROLE stranger; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger; SET ROLE stranger`)
	require.NoError(t, err)
	var why string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT ensure_search_index()").Scan(&why))
	require.Contains(t, why, "permission denied")
	_, err = conn.Exec(t.Context(), "RESET ROLE")
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT ensure_search_index()").Scan(&why))
	require.Empty(t, why)
}
