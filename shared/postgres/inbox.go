package postgres

import (
	"context"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/postgres/dbsqlc"
)

// Inbox is the store of accepted events that have no workflow yet.
type Inbox struct {
	queries *dbsqlc.Queries
}

// NewInbox returns the store on db's connections.
func NewInbox(db *DB) *Inbox { return &Inbox{queries: dbsqlc.New(db.pool)} }

// ClaimWaiting returns up to limit rows that are neither started nor claimed, oldest
// first, and claims them for lease. No row is handed to
// two callers while its lease lasts.
func (s *Inbox) ClaimWaiting(ctx context.Context, limit int, lease time.Duration) ([]Waiting, error) {
	rows, err := s.queries.ClaimWaiting(ctx, dbsqlc.ClaimWaitingParams{MaxRows: int64(limit), Lease: lease})
	if err != nil {
		return nil, classify("claim waiting emails", err)
	}

	out := make([]Waiting, len(rows))
	for i, r := range rows {
		out[i] = Waiting{
			Email: contract.Email{
				ID: r.ID, WorkflowID: r.WorkflowID, Source: r.Source, EventID: r.EventID, Tenant: r.Tenant,
				CorrelationID: r.CorrelationID, Size: r.Size,
			},
			ReceivedAt: r.ReceivedAt, BodySHA256: [32]byte(r.BodySHA256), Refused: r.Refused,
		}
		if r.HoldReason != "" {
			out[i].Hold = &contract.Hold{Reason: contract.Reason(r.HoldReason), Detail: r.HoldDetail}
		}
	}
	return out, nil
}

// MarkStarted takes rows out of the reach of sweeps for good. A row that is gone
// or marked already is no error: the store step may have been faster.
func (s *Inbox) MarkStarted(ctx context.Context, ids []int64) error {
	return classify("mark emails started", s.queries.MarkStarted(ctx, ids))
}

// ReleaseClaims releases rows that could not be started: sweeps may take them
// once after has passed. Rows that are started, gone or refused for good stay as they are.
func (s *Inbox) ReleaseClaims(ctx context.Context, ids []int64, after time.Duration) error {
	return classify("release claims", s.queries.ReleaseClaims(ctx, dbsqlc.ReleaseClaimsParams{IDs: ids, Rest: after}))
}

// InboxDepth counts the rows that wait for their start, claimed or not, without those that
// wait for a person (RefuseStart), and returns how long the oldest has been waiting (0 when
// there is none).
func (s *Inbox) InboxDepth(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	depth, err := s.queries.MeasureInbox(ctx)
	return depth.Waiting, max(depth.Oldest, 0), classify("measure inbox", err)
}

// CountAhead counts the rows that were started and that no worker has stored yet:
// how far starts are ahead of the workers. It looks at the oldest limit rows, of
// which those count that were started within the last half minute, and at ids,
// which count as long as they are there: what the caller started or is about to
// start, wherever in the inbox it is. A row that is both counts once. However long
// the inbox is, no more than these are read.
func (s *Inbox) CountAhead(ctx context.Context, limit int, ids []int64) (int, error) {
	if ids == nil {
		ids = []int64{}
	}
	n, err := s.queries.CountAhead(ctx, dbsqlc.CountAheadParams{MaxRows: int64(limit), IDs: ids})
	return int(n), classify("count started emails", err)
}
