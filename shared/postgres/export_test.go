package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// SearchSQL returns the statement that looks through all emails.
func SearchSQL(f ledger.Filter) (string, pgx.NamedArgs) {
	s := ask(f, 0, ledger.DefaultLimit)
	return s.ids(false), s.args
}

// ExactSQL returns the statement that looks for a whole id.
func ExactSQL(query string) (string, pgx.NamedArgs) {
	s := ask(ledger.Filter{Query: query}, 0, ledger.DefaultLimit)
	return s.exact(query), s.args
}

// Statements whose plans are tested.
const (
	ClaimWaitingSQL  = dbsqlc.ClaimWaiting
	MarkStartedSQL   = dbsqlc.MarkStarted
	ReleaseClaimsSQL = dbsqlc.ReleaseClaims
	CountAheadSQL    = dbsqlc.CountAhead
)

// Statement is SQL with its arguments.
type Statement struct {
	SQL  string
	Args []any
}

// OverviewSQL returns the statements of the overview of every tenant.
func OverviewSQL(since time.Time) map[string]Statement {
	var all []string
	return map[string]Statement{
		"accepted": {dbsqlc.CountAccepted, []any{since, all}}, "delivered": {dbsqlc.CountDelivered, []any{since, all}},
		"held": {dbsqlc.CountHeld, []any{since, all}}, "latency": {dbsqlc.MeasureLatency, []any{60.0, since, all}},
		"attention": {dbsqlc.CountAttention, []any{contract.AttentionReminded, contract.AttentionEscalated, all}},
		"states":    {dbsqlc.CountStates, []any{all}}, "reasons": {dbsqlc.CountReasons, []any{all}},
	}
}

// ObjectsLock is the number of the lock that SaveManifest shares.
const ObjectsLock = int64(objectsLock)
