package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Deliveries is the store of deliveries, and of the controls and the status of destinations.
type Deliveries struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewDeliveries returns the store on db's connections.
func NewDeliveries(db *DB) *Deliveries {
	return &Deliveries{pool: db.pool, queries: dbsqlc.New(db.pool)}
}

// ListDeliveries reads the deliveries of an email to a destination, the first and those
// of replays; there may be none yet.
func (s *Deliveries) ListDeliveries(ctx context.Context, emailID int64, destination string) ([]ledger.Delivery, error) {
	rows, err := s.queries.ListDeliveries(ctx, dbsqlc.ListDeliveriesParams{EmailID: emailID, Destination: destination})
	if err != nil {
		return nil, classify(fmt.Sprintf("read deliveries of email %d to %s", emailID, destination), err)
	}

	list := make([]ledger.Delivery, len(rows))
	for i, r := range rows {
		list[i] = ledger.Delivery{
			EmailID: emailID, Destination: destination, Effect: r.Effect, State: r.State, IdempotencyKey: r.IdempotencyKey,
			Attempts: int(r.Attempts), LastStatus: int(r.LastStatus), LastError: r.LastError,
			NextAttemptAt: orZero(r.NextAttemptAt), DeliveredAt: orZero(r.DeliveredAt), ContentSHA256: r.ContentSHA256,
			UpdatedAt: r.UpdatedAt,
		}
	}
	return list, nil
}

// SaveDelivery writes the delivery d.EmailID to d.Destination of d.Effect. One that
// is over stays as it is, whatever comes later; to announce an attempt at such a
// one (ledger.Attempting) is a temporary fault, so that a slow attempt which
// another has overtaken makes no call. d.Call becomes a row of its own, after those
// that are there, once however often it is saved.
func (s *Deliveries) SaveDelivery(ctx context.Context, d ledger.Delivery) error {
	p := dbsqlc.SaveDeliveryParams{
		EmailID: d.EmailID, Destination: d.Destination, Effect: d.Effect, State: string(d.State), IdempotencyKey: d.IdempotencyKey,
		Attempts: int32(d.Attempts), LastStatus: int32(d.LastStatus), LastError: clean(d.LastError), //nolint:gosec // small numbers
		NextAttemptAt: orNull(d.NextAttemptAt), DeliveredAt: orNull(d.DeliveredAt), ContentSHA256: d.ContentSHA256,
	}
	if c := d.Call; c != nil {
		p.CalledAt, p.TookMS = orNull(c.At), max(c.Took.Milliseconds(), 0)
		p.CallStatus, p.Code = int32(c.Status), clean(c.Code) //nolint:gosec // an HTTP status
	}

	saved, err := s.queries.SaveDelivery(ctx, p)
	if err == nil && d.Paused {
		err = s.queries.SavePause(ctx, dbsqlc.SavePauseParams{
			EmailID: d.EmailID, Cause: "paused " + clean(d.Destination), Until: d.NextAttemptAt,
		})
	}
	if err == nil && saved == 0 && d.State == ledger.Attempting {
		return ledger.DeliveredMeanwhile()
	}
	return classify(fmt.Sprintf("save delivery of email %d to %s", d.EmailID, d.Destination), err)
}

// orZero returns the zero time for NULL.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// orNull returns NULL for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
