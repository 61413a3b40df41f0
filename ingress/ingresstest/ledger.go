package ingresstest

import (
	"context"
	"slices"
	"sync"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/postgres"
)

// Ledger is an inbox and a ledger in memory. Its zero value is ready.
type Ledger struct {
	mu      sync.Mutex
	Rows    []*Row
	Batches []int
	// Refuse, if set, is called before a batch is written.
	Refuse   func(ctx context.Context, batch []postgres.Acceptance) error
	ClaimErr error
	MarkErr  error
	// Busy makes the workers store nothing: what is started stays ahead of them.
	Busy bool

	tallied Tally
}

// Tally counts the statements of a dispatcher, and the rows that its claims handed out.
type Tally struct{ Claims, Claimed, Markings, Looks int }

// Tally returns what was counted so far.
func (l *Ledger) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tallied
}

// Row is one row of a Ledger, numbered from 1 by its place.
type Row struct {
	postgres.Acceptance
	Waiting postgres.Waiting
	Until   time.Time // of the claim
	Started bool
	Marks   int
	Refusal *postgres.Refusal // the last one
}

// Accept implements accept.Ledger.
func (l *Ledger) Accept(ctx context.Context, batch []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error) {
	l.mu.Lock()
	refuse := l.Refuse
	l.mu.Unlock()
	if refuse != nil {
		if err := refuse(ctx, batch); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Batches = append(l.Batches, len(batch))
	out := make([]postgres.Accepted, len(batch))
	for i, a := range batch {
		out[i] = l.Add(a, lease)
	}
	return out, nil
}

// Add accepts one row; Accept calls it with the lock held.
func (l *Ledger) Add(a postgres.Acceptance, lease time.Duration) postgres.Accepted {
	outcome := postgres.Inserted
	for _, r := range l.Rows {
		if r.Source != a.Source || r.EventID != a.EventID {
			continue
		}
		if r.BodySHA256 == a.BodySHA256 {
			return postgres.Accepted{Outcome: postgres.Duplicate, Row: r.Waiting}
		}
		outcome = postgres.Conflict
	}

	if outcome == postgres.Conflict {
		a.WorkflowID = contract.ConflictWorkflowID(a.Source, a.EventID, a.BodySHA256)
	}

	r := &Row{Acceptance: a, Waiting: postgres.Waiting{
		Email: contract.Email{
			ID: int64(len(l.Rows) + 1), WorkflowID: a.WorkflowID, Source: a.Source, EventID: a.EventID,
			Tenant: a.Tenant, CorrelationID: a.CorrelationID, Size: a.Size,
		},
		ReceivedAt: a.ReceivedAt, BodySHA256: a.BodySHA256, Hold: a.Hold,
	}}
	if a.Claim {
		r.Until = time.Now().Add(lease)
	}
	l.Rows = append(l.Rows, r)
	return postgres.Accepted{Outcome: outcome, Row: r.Waiting}
}

// ClaimWaiting implements dispatch.Inbox.
func (l *Ledger) ClaimWaiting(_ context.Context, limit int, lease time.Duration) ([]postgres.Waiting, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ClaimErr != nil {
		return nil, l.ClaimErr
	}
	var out []postgres.Waiting
	l.tallied.Claims++
	for _, r := range l.Rows {
		if len(out) < limit && !r.Started && !r.Parked() && time.Now().After(r.Until) {
			r.Until = time.Now().Add(lease)
			waiting := r.Waiting
			waiting.Refused = r.Refusal != nil
			out = append(out, waiting)
			l.tallied.Claimed++
		}
	}
	return out, nil
}

// MarkStarted implements dispatch.Inbox.
func (l *Ledger) MarkStarted(_ context.Context, ids []int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.MarkErr != nil {
		return l.MarkErr
	}
	l.tallied.Markings++
	for _, id := range ids {
		l.Rows[id-1].Started = true
		l.Rows[id-1].Marks++
	}
	return nil
}

// ReleaseClaims implements dispatch.Inbox.
func (l *Ledger) ReleaseClaims(_ context.Context, ids []int64, after time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.Rows[id-1].Until = time.Now().Add(after)
	}
	return nil
}

// Parked reports whether the row waits for a person.
func (r *Row) Parked() bool { return r.Refusal != nil && r.Refusal.Final }

// RefuseStart implements dispatch.Inbox.
func (l *Ledger) RefuseStart(_ context.Context, r postgres.Refusal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.Rows[r.EmailID-1]
	row.Refusal, row.Until = &r, time.Now().Add(r.Rest)
	return nil
}

// ClearRefusal implements dispatch.Inbox.
func (l *Ledger) ClearRefusal(_ context.Context, id int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Rows[id-1].Refusal = nil
	return nil
}

// InboxDepth implements webhook.InboxMeter; no row is old.
func (l *Ledger) InboxDepth(context.Context) (int64, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, r := range l.Rows {
		if !r.Started {
			n++
		}
	}
	return n, 0, nil
}

// Count returns how many rows which selects.
func (l *Ledger) Count(which func(*Row) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, r := range l.Rows {
		if which(r) {
			n++
		}
	}
	return n
}

// Size returns how many rows there are.
func (l *Ledger) Size() int { return l.Count(func(*Row) bool { return true }) }

// Started returns how many rows are marked as started.
func (l *Ledger) Started() int { return l.Count(func(r *Row) bool { return r.Started }) }

// CountAhead counts as the database does; workers that are not busy store whatever
// is started at once.
func (l *Ledger) CountAhead(_ context.Context, limit int, ids []int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tallied.Looks++
	if !l.Busy {
		return 0, nil
	}
	n := 0
	for i, r := range l.Rows {
		if i < limit && r.Started || slices.Contains(ids, int64(i+1)) {
			n++
		}
	}
	return n, nil
}

// Set changes how the ledger behaves while it is in use.
func (l *Ledger) Set(change func(*Ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// SetBusy sets Busy while the ledger is in use.
func (l *Ledger) SetBusy(busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Busy = busy
}
