package postgres

import (
	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// SearchSQL gives the statement that looks through all emails.
func SearchSQL(f ledger.Filter) (string, pgx.NamedArgs) {
	s := ask(f, 0, ledger.DefaultLimit)
	return s.ids(false), s.args
}

// ExactSQL gives the statement that looks for a whole id.
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

// OverviewSQL are the statements of the overview.
var OverviewSQL = map[string]string{
	"accepted": countAccepted, "delivered": countDelivered, "held": countHeld, "latency": measureLatency,
	"attention": countAttention, "states": countStates, "reasons": countReasons,
}

// ObjectsLock is the number of the lock that SaveManifest shares.
const ObjectsLock = int64(objectsLock)
