package postgres

// Statements whose plans are tested.
const (
	ClaimWaitingSQL  = claimWaiting
	MarkStartedSQL   = markStarted
	ReleaseClaimsSQL = releaseClaims
	CountAheadSQL    = countAhead
)
