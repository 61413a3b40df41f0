package postgres_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// decided is a decision as the workflow records it.
func decided(email contract.Email, sequence int64, note string) contract.RecordInput {
	return contract.RecordInput{
		Email: email, Sequence: sequence, State: contract.Processing, AtUnixMilli: 1_700_000_000_000 + sequence,
		Before: contract.Quarantined,
		Decision: &contract.Decision{
			Action: contract.Approve, Actor: "anna", Note: note, Via: contract.ViaAPI,
		},
	}
}

// chain reads and checks the whole chain, and that its head is its end.
func chain(t *testing.T, db *pgtest.DB) []auditchain.Entry {
	t.Helper()
	list, err := db.Audit(t.Context(), 0, 10_000)
	require.NoError(t, err)
	var c auditchain.Chain
	for i := range list {
		require.NoError(t, c.Add(&list[i]))
	}
	head, err := db.AuditHead(t.Context())
	require.NoError(t, err)
	require.Equal(t, c.Head(), head)
	return list
}

func TestDecisionsAreChainedOnce(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	require.Empty(t, chain(t, db))
	email := acceptOne(t, db)
	held := contract.RecordInput{Email: email, Sequence: 5, State: contract.Quarantined, Reason: contract.Infected}
	require.NoError(t, db.Record(ctx, held))
	require.Empty(t, chain(t, db), "no decision, no entry")

	in := decided(email, 7, "it is \"fine\" – 50:50\n3:x\u2028")
	for range 3 {
		require.NoError(t, db.Record(ctx, in))
	}
	late := decided(email, 6, "an older one that comes late")
	require.NoError(t, unlessOverruled(db.Record(ctx, late)))
	list := chain(t, db)
	require.Len(t, list, 2)
	got := list[0]
	require.Equal(t, auditchain.Entry{
		Seq: 1, AtUnixMicro: got.AtUnixMicro, Kind: "decision", EmailID: email.ID, EventID: "e", Source: email.Source,
		Tenant: email.Tenant, Actor: "anna", Via: "api", Body: got.Body,
		ContentHash: got.ContentHash, Hash: got.Hash,
	}, got)
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.Body), &body))
	for name, want := range map[string]any{
		"email_id": float64(email.ID), "sequence": 7.0, "action": "approve", "actor": "anna", "via": "api",
		"note": in.Decision.Note, "reason": "infected", "state_before": "quarantined", "state_after": "processing",
		"decided_at_us": 1_700_000_000_007_000.0,
	} {
		require.Equal(t, want, body[name], name)
	}
}

func TestAuditUnderManyWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 50, 8
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 20)
	email := acceptOne(t, db)
	var all sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if i%2 == 0 {
					errs <- db.Record(ctx, decided(email, int64(w*each+i+1), "n"))
					continue
				}
				_, err := db.AppendAudit(ctx, ledger.AuditRecord{
					Kind: ledger.AuditToken, Tenant: "t", Actor: fmt.Sprint(w), Via: "api", Body: []byte(`{"i": 1}`),
				})
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, unlessOverruled(err))
	}
	require.Len(t, chain(t, db), writers*each)
}

func TestAuditRefusesChange(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := acceptOne(t, db)
	require.NoError(t, db.Record(ctx, decided(email, 1, "n")))
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range []string{
		`UPDATE audit SET actor = 'bob'`, `DELETE FROM audit`, `TRUNCATE audit`,
		`UPDATE decisions SET actor = 'bob'`, `DELETE FROM decisions`, `TRUNCATE decisions`,
		`DELETE FROM emails`, `DELETE FROM audit_head`, `TRUNCATE audit_head`,
		`SET session_replication_role = replica; DELETE FROM audit`,
	} {
		_, err := conn.Exec(ctx, statement)
		require.Error(t, err, statement)
		_, err = conn.Exec(ctx, `SET session_replication_role = origin`)
		require.NoError(t, err)
	}
	require.Len(t, chain(t, db), 1)
}

func TestAppendAuditInATransaction(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	record := ledger.AuditRecord{Kind: ledger.AuditToken, Actor: "anna\x00", Via: "console"}
	tx, err := conn.Begin(ctx)
	require.NoError(t, err)
	_, err = postgres.AppendAudit(ctx, tx, record)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(ctx))
	require.Empty(t, chain(t, db), "what is taken back leaves no gap")
	seq, err := db.AppendAudit(ctx, record)
	require.NoError(t, err)
	require.EqualValues(t, 1, seq)
	list := chain(t, db)
	require.Equal(t, "anna", list[0].Actor)
	require.Equal(t, "{}", list[0].Body)

	record.EmailID = 4711
	_, err = db.AppendAudit(ctx, record)
	require.Error(t, err, "of an email that is not there")
	record.EmailID, record.Body = 0, []byte(`[]`)
	_, err = db.AppendAudit(ctx, record)
	require.Error(t, err, "a body is an object")
	require.Len(t, chain(t, db), 1)
}
