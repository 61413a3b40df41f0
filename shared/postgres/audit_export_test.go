package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// An export of the database verifies without it, also after more was decided.
func TestExportCustody(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	a := event("e", "body")
	a.Verified = contract.Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:WEBHOOK_SECRET"}
	email, other := accept(t, db, a)[0].Row.Email, accept(t, db, event("other", "body"))[0].Row.Email
	m := manifest(email.ID)
	m.MIMEKey, m.Parser = "mime/cc/"+sumOf("mime"), "mailroom/1"
	require.NoError(t, db.SaveManifest(ctx, m))
	require.NoError(t, db.Record(ctx, decided(other, 1, "of another email")))
	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: 1, State: contract.Quarantined, Reason: contract.Infected, AtUnixMilli: at(1)}))
	require.NoError(t, db.Record(ctx, decided(email, 2, "<b>fine</b>\u2028")))
	require.NoError(t, db.Record(ctx, decided(other, 2, "of another email")))
	require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{EmailID: email.ID, Destination: "ticketing", State: ledger.Delivered,
		IdempotencyKey: "k", Attempts: 1, DeliveredAt: time.UnixMilli(at(9)), Call: &ledger.Call{At: time.UnixMilli(at(8)), Status: 202}}))

	d, err := db.ExportCustody(ctx, email.ID, "olga", "mailctl")
	require.NoError(t, err)
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.NotContains(t, string(text), "of another email")
	head, err := db.AuditHead(ctx)
	require.NoError(t, err)
	got, known, err := auditchain.Read(text, head)
	require.NoError(t, err)
	require.Equal(t, 1, known)
	require.Equal(t, "timestamp-hmac", got.Record.Verified.Scheme)
	require.Equal(t, sumOf("mime"), got.Record.MIME.SHA256)
	require.True(t, got.Record.RawMatches([]byte("body")))
	require.Len(t, got.Record.Decisions, 1)
	require.Equal(t, "<b>fine</b>\u2028", got.Record.Decisions[0].Note)
	require.EqualValues(t, 2, got.Record.Decisions[0].Seq)
	require.Len(t, got.Record.Deliveries[0].Attempts, 1)
	require.Len(t, got.Record.States, 1)
	require.EqualValues(t, 2, got.Proof.From)
	require.Len(t, got.Proof.Links, 3)
	require.Equal(t, "olga", got.Proof.Entries[1].Actor)
	chain(t, db)

	_, err = db.ExportCustody(ctx, 4711, "olga", "api")
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	require.Len(t, chain(t, db), 4, "what failed left nothing behind")
}

// TestTamperingIsFound changes what the triggers protect, as a person who owns the
// database can.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statement string
		chain     bool // the chain itself shows it, else the comparison with decisions
	}{
		"at":         {`UPDATE audit SET at = at + interval '1 microsecond' WHERE seq = 2`, true},
		"kind":       {`UPDATE audit SET kind = 'x' WHERE seq = 2`, true},
		"email_id":   {`UPDATE audit SET email_id = 99 WHERE seq = 2`, true},
		"event_id":   {`UPDATE audit SET event_id = 'x' WHERE seq = 2`, true},
		"source":     {`UPDATE audit SET source = 'x' WHERE seq = 2`, true},
		"tenant":     {`UPDATE audit SET tenant = 'x' WHERE seq = 2`, true},
		"actor":      {`UPDATE audit SET actor = 'x' WHERE seq = 2`, true},
		"via":        {`UPDATE audit SET via = 'x' WHERE seq = 2`, true},
		"body":       {`UPDATE audit SET body = body || ' ' WHERE seq = 2`, true},
		"content":    {`UPDATE audit SET content_hash = sha256('') WHERE seq = 2`, true},
		"prev":       {`UPDATE audit SET prev_hash = sha256('') WHERE seq = 2`, true},
		"hash":       {`UPDATE audit SET hash = sha256('') WHERE seq = 2`, true},
		"deleted":    {`DELETE FROM audit WHERE seq = 2`, true},
		"decision":   {`UPDATE decisions SET note = 'x' WHERE sequence = 2`, false},
		"decided at": {`UPDATE decisions SET decided_at = now() WHERE sequence = 2`, false},
		"gone":       {`DELETE FROM decisions WHERE sequence = 2`, false},
		"unchained": {`INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at)
			SELECT email_id, 99, action, 'x', via, note, reason, state_before, state_after, decided_at FROM decisions LIMIT 1`, false},
		"end cut off": {`DELETE FROM audit WHERE seq = 3`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, ctx := pgtest.URL(t), t.Context()
			db := pgtest.Open(t, url, 2)
			email := acceptOne(t, db)
			for i := range int64(3) {
				require.NoError(t, db.Record(ctx, decided(email, i+1, "n")))
			}
			chain(t, db)
			_, wrong, err := db.CheckDecisions(ctx, 10)
			require.NoError(t, err)
			require.Empty(t, wrong)
			execute(t, url, `ALTER TABLE audit DISABLE TRIGGER ALL; ALTER TABLE decisions DISABLE TRIGGER ALL; `+c.statement)

			if !c.chain {
				checked, wrong, err := db.CheckDecisions(ctx, 10)
				require.NoError(t, err)
				require.Len(t, wrong, 1)
				require.NotZero(t, checked)
				chain(t, db)
				return
			}
			list, err := db.Audit(ctx, 0, 10)
			require.NoError(t, err)
			head, err := db.AuditHead(ctx)
			require.NoError(t, err)
			var chain auditchain.Chain
			var broken error
			for i := 0; i < len(list) && broken == nil; i++ {
				broken = chain.Add(&list[i])
			}
			require.True(t, broken != nil || chain.Head() != head)
		})
	}
}

// Decisions that were there before the chain are in it after the migration.
func TestMigrationChainsWhatIsThere(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	conf, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	sql := stdlib.OpenDB(*conf)
	defer func() { require.NoError(t, sql.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, sql, postgres.Migrations(), goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = provider.DownTo(ctx, 6)
	require.NoError(t, err)
	execute(t, url, `
INSERT INTO emails (source, event_id, body_sha256, workflow_id, tenant, correlation_id, size, received_at)
SELECT 's', 'e' || i, sha256(''), 'e' || i, 't', '', 1, now() FROM generate_series(1, 20) i;
INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at)
SELECT id, n, 'approve', 'anna', 'api', 'n', 'infected', 'quarantined', 'processing', now() FROM emails, generate_series(1, 10) n`)
	require.NoError(t, postgres.Migrate(ctx, url))
	db := pgtest.Open(t, url, 2)
	require.Len(t, chain(t, db), 200)
	checked, wrong, err := db.CheckDecisions(ctx, 10)
	require.NoError(t, err)
	require.EqualValues(t, 200, checked)
	require.Empty(t, wrong)
	email := accept(t, db, event("new", "body"))[0].Row.Email
	require.NoError(t, db.Record(ctx, decided(email, 1, "n")))
	require.Len(t, chain(t, db), 201)
}
