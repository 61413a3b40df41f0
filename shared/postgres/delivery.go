package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Delivery reads the delivery of an email to a destination; false means that
// there is none yet.
func (db *DB) Delivery(ctx context.Context, emailID int64, destination string) (ledger.Delivery, bool, error) {
	const query = `
SELECT state, idempotency_key, attempts, last_status, last_error, next_attempt_at, delivered_at
  FROM deliveries WHERE email_id = @id AND destination = @destination`

	d := ledger.Delivery{EmailID: emailID, Destination: destination}
	var next, delivered *time.Time
	err := db.pool.QueryRow(ctx, query, pgx.NamedArgs{"id": emailID, "destination": destination}).
		Scan(&d.State, &d.IdempotencyKey, &d.Attempts, &d.LastStatus, &d.LastError, &next, &delivered)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Delivery{}, false, nil
	}
	if err != nil {
		return ledger.Delivery{}, false, classify(fmt.Sprintf("read delivery of email %d to %s", emailID, destination), err)
	}
	if next != nil {
		d.NextAttemptAt = *next
	}
	if delivered != nil {
		d.DeliveredAt = *delivered
	}
	return d, true, nil
}

// SaveDelivery writes the delivery d.EmailID to d.Destination. One that is
// delivered stays as it is, whatever comes later; to announce an attempt at such a
// one (ledger.Attempting) is a temporary fault, so that a slow attempt which
// another has overtaken makes no call.
func (db *DB) SaveDelivery(ctx context.Context, d ledger.Delivery) error {
	const query = `
INSERT INTO deliveries AS d (email_id, destination, state, idempotency_key, attempts, last_status, last_error,
       next_attempt_at, delivered_at)
VALUES (@id, @destination, @state, @key, @attempts, @status, @error, @next, @delivered)
ON CONFLICT (email_id, destination) DO UPDATE SET state = excluded.state, idempotency_key = excluded.idempotency_key,
       attempts = excluded.attempts, last_status = excluded.last_status, last_error = excluded.last_error,
       next_attempt_at = excluded.next_attempt_at, delivered_at = excluded.delivered_at, updated_at = now()
 WHERE d.state <> 'delivered'`

	tag, err := db.pool.Exec(ctx, query, pgx.NamedArgs{
		"id": d.EmailID, "destination": d.Destination, "state": string(d.State), "key": d.IdempotencyKey,
		"attempts": d.Attempts, "status": d.LastStatus, "error": clean(d.LastError),
		"next": orNull(d.NextAttemptAt), "delivered": orNull(d.DeliveredAt),
	})
	if err == nil && tag.RowsAffected() == 0 && d.State == ledger.Attempting {
		return fault.New(fault.Overloaded, "another attempt has delivered it meanwhile").After(time.Second)
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
