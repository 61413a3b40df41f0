package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
)

// Deliveries is the store of deliveries, and of the controls and the status of destinations.
type Deliveries struct {
	pool *pgxpool.Pool
}

// NewDeliveries returns the store on db's connections.
func NewDeliveries(db *DB) *Deliveries { return &Deliveries{pool: db.pool} }

// ListDeliveries reads the deliveries of an email to a destination, the first and those
// of replays; there may be none yet.
func (s *Deliveries) ListDeliveries(ctx context.Context, emailID int64, destination string) ([]ledger.Delivery, error) {
	const query = `
SELECT effect, state, idempotency_key, attempts, last_status, last_error, next_attempt_at, delivered_at, content_sha256,
       updated_at
  FROM deliveries WHERE email_id = @id AND destination = @destination ORDER BY updated_at, effect`

	rows, _ := s.pool.Query(ctx, query, pgx.NamedArgs{"id": emailID, "destination": destination}) // its error comes with the rows
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ledger.Delivery, error) {
		d := ledger.Delivery{EmailID: emailID, Destination: destination}
		var next, delivered *time.Time
		err := row.Scan(&d.Effect, &d.State, &d.IdempotencyKey, &d.Attempts, &d.LastStatus, &d.LastError, &next, &delivered,
			&d.ContentSHA256, &d.UpdatedAt)
		if next != nil {
			d.NextAttemptAt = *next
		}
		if delivered != nil {
			d.DeliveredAt = *delivered
		}
		return d, err
	})
	return list, classify(fmt.Sprintf("read deliveries of email %d to %s", emailID, destination), err)
}

// SaveDelivery writes the delivery d.EmailID to d.Destination of d.Effect. One that
// is over stays as it is, whatever comes later; to announce an attempt at such a
// one (ledger.Attempting) is a temporary fault, so that a slow attempt which
// another has overtaken makes no call. d.Call becomes a row of its own, after those
// that are there, once however often it is saved.
func (s *Deliveries) SaveDelivery(ctx context.Context, d ledger.Delivery) error {
	const query = `
WITH called AS (
    INSERT INTO attempts (email_id, destination, effect, number, at, took_ms, status, code)
    SELECT @id, @destination, @effect, greatest(coalesce(max(a.number), 0) + 1, @attempts), @called_at::timestamptz, @took,
           @call_status, @code
      FROM attempts a WHERE a.email_id = @id AND a.destination = @destination AND a.effect = @effect
    HAVING @called_at::timestamptz IS NOT NULL AND count(*) FILTER (WHERE a.at = @called_at) = 0
    ON CONFLICT DO NOTHING
)
INSERT INTO deliveries AS d (email_id, destination, effect, state, idempotency_key, attempts, last_status, last_error,
       next_attempt_at, delivered_at, content_sha256)
VALUES (@id, @destination, @effect, @state, @key, @attempts, @status, @error, @next, @delivered, @content)
ON CONFLICT (email_id, destination, effect) DO UPDATE SET state = excluded.state, idempotency_key = excluded.idempotency_key,
       attempts = excluded.attempts, last_status = excluded.last_status, last_error = excluded.last_error,
       next_attempt_at = excluded.next_attempt_at, delivered_at = excluded.delivered_at,
       content_sha256 = coalesce(excluded.content_sha256, d.content_sha256), updated_at = now()
 WHERE d.state NOT IN ('delivered', 'skipped')`

	args := pgx.NamedArgs{
		"id": d.EmailID, "destination": d.Destination, "effect": d.Effect, "content": d.ContentSHA256,
		"state": string(d.State), "key": d.IdempotencyKey,
		"attempts": d.Attempts, "status": d.LastStatus, "error": clean(d.LastError),
		"next": orNull(d.NextAttemptAt), "delivered": orNull(d.DeliveredAt),
		"called_at": nil, "took": int64(0), "call_status": 0, "code": "",
	}
	if c := d.Call; c != nil {
		args["called_at"], args["took"] = orNull(c.At), max(c.Took.Milliseconds(), 0)
		args["call_status"], args["code"] = c.Status, clean(c.Code)
	}
	tag, err := s.pool.Exec(ctx, query, args)
	if err == nil && tag.RowsAffected() == 0 && d.State == ledger.Attempting {
		return ledger.DeliveredMeanwhile()
	}
	return classify(fmt.Sprintf("save delivery of email %d to %s", d.EmailID, d.Destination), err)
}

// orNull gives NULL for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
