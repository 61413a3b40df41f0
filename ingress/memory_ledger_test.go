package ingress

import (
	"context"
	"slices"
	"sync"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/postgres"
)

// memoryLedger is an inbox and a ledger in memory. Its zero value is ready.
type memoryLedger struct {
	mu      sync.Mutex
	rows    []*memoryRow
	batches []int
	// refuse, when set, is asked before a batch is written.
	refuse   func(ctx context.Context, batch []postgres.Acceptance) error
	claimErr error
	markErr  error
	// busy makes the workers take nothing: what is started stays ahead of them.
	busy bool

	tallied tally
}

// tally counts the statements of a starter, and the rows that its claims handed out.
type tally struct{ claims, claimed, markings, looks int }

func (l *memoryLedger) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tallied
}

type memoryRow struct {
	postgres.Acceptance
	waiting postgres.Waiting
	until   time.Time // of the claim
	started bool
	marks   int
	refusal *postgres.Refusal // the last one
}

func (l *memoryLedger) Accept(ctx context.Context, batch []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error) {
	l.mu.Lock()
	refuse := l.refuse
	l.mu.Unlock()
	if refuse != nil {
		if err := refuse(ctx, batch); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, len(batch))
	out := make([]postgres.Accepted, len(batch))
	for i, a := range batch {
		out[i] = l.accept(a, lease)
	}
	return out, nil
}

func (l *memoryLedger) accept(a postgres.Acceptance, lease time.Duration) postgres.Accepted {
	outcome := postgres.Inserted
	for _, r := range l.rows {
		if r.Source != a.Source || r.EventID != a.EventID {
			continue
		}
		if r.BodySHA256 == a.BodySHA256 {
			return postgres.Accepted{Outcome: postgres.Duplicate, Row: r.waiting}
		}
		outcome = postgres.Conflict
	}
	if outcome == postgres.Conflict {
		a.WorkflowID = contract.ConflictWorkflowID(a.Source, a.EventID, a.BodySHA256)
	}
	r := &memoryRow{Acceptance: a, waiting: postgres.Waiting{
		Email: contract.Email{
			ID: int64(len(l.rows) + 1), WorkflowID: a.WorkflowID, Source: a.Source, EventID: a.EventID,
			Tenant: a.Tenant, CorrelationID: a.CorrelationID, Size: a.Size,
		},
		ReceivedAt: a.ReceivedAt, BodySHA256: a.BodySHA256, Hold: a.Hold,
	}}
	if a.Claim {
		r.until = time.Now().Add(lease)
	}
	l.rows = append(l.rows, r)
	return postgres.Accepted{Outcome: outcome, Row: r.waiting}
}

func (l *memoryLedger) ClaimWaiting(_ context.Context, limit int, lease time.Duration) ([]postgres.Waiting, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimErr != nil {
		return nil, l.claimErr
	}
	var out []postgres.Waiting
	l.tallied.claims++
	for _, r := range l.rows {
		if len(out) < limit && !r.started && !r.parked() && time.Now().After(r.until) {
			r.until = time.Now().Add(lease)
			waiting := r.waiting
			waiting.Refused = r.refusal != nil
			out = append(out, waiting)
			l.tallied.claimed++
		}
	}
	return out, nil
}

func (l *memoryLedger) MarkStarted(_ context.Context, ids []int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.markErr != nil {
		return l.markErr
	}
	l.tallied.markings++
	for _, id := range ids {
		l.rows[id-1].started = true
		l.rows[id-1].marks++
	}
	return nil
}

func (l *memoryLedger) ReleaseClaims(_ context.Context, ids []int64, after time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.rows[id-1].until = time.Now().Add(after)
	}
	return nil
}

// parked reports whether the row waits for a person.
func (r *memoryRow) parked() bool { return r.refusal != nil && r.refusal.Final }

func (l *memoryLedger) RefuseStart(_ context.Context, r postgres.Refusal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.rows[r.EmailID-1]
	row.refusal, row.until = &r, time.Now().Add(r.Rest)
	return nil
}

func (l *memoryLedger) ClearRefusal(_ context.Context, id int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[id-1].refusal = nil
	return nil
}

func (l *memoryLedger) InboxDepth(context.Context) (int64, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, r := range l.rows {
		if !r.started {
			n++
		}
	}
	return n, 0, nil
}

func (l *memoryLedger) count(which func(*memoryRow) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, r := range l.rows {
		if which(r) {
			n++
		}
	}
	return n
}

func (l *memoryLedger) size() int    { return l.count(func(*memoryRow) bool { return true }) }
func (l *memoryLedger) started() int { return l.count(func(r *memoryRow) bool { return r.started }) }

// CountAhead counts as the database does; workers that are not busy store whatever
// is started at once.
func (l *memoryLedger) CountAhead(_ context.Context, limit int, ids []int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tallied.looks++
	if !l.busy {
		return 0, nil
	}
	n := 0
	for i, r := range l.rows {
		if i < limit && r.started || slices.Contains(ids, int64(i+1)) {
			n++
		}
	}
	return n, nil
}

// set changes how the ledger behaves while it is in use.
func (l *memoryLedger) set(change func(*memoryLedger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *memoryLedger) setBusy(busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = busy
}
