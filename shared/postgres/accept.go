package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// MaxInline is the longest body in bytes that belongs into an inbox row. A
// longer one goes to the object store first and is named by BodyKey.
const MaxInline = 64 << 10

// acceptRounds bounds how often a row is tried whose rivals come and go.
const acceptRounds = 5

// Acceptance is one verified event that was received. Source and EventID are stored as
// they are: the caller has checked them.
type Acceptance struct {
	Source, EventID, WorkflowID, Tenant, CorrelationID string

	BodySHA256 [32]byte
	Size       int64
	ReceivedAt time.Time
	Verified   contract.Verified
	// Body is the raw body, or nil with BodyKey naming it in the raw bucket.
	Body    []byte
	BodyKey string
	// Hold is set where the ingress already knows that a person must look first.
	Hold *contract.Hold
	// Claim leaves the start to the caller until the lease ends; without it the
	// row is free for any sweep at once.
	Claim bool
}

// Outcome is what became of an Acceptance.
type Outcome string

// The outcomes. A repeat of a conflicting body is a Duplicate of its own row.
const (
	Inserted  Outcome = "inserted"
	Duplicate Outcome = "duplicate"
	Conflict  Outcome = "conflict"
)

// Accepted is the answer to one Acceptance. Row is the row that now stands for
// it: the new one, or the one that was there.
type Accepted struct {
	Outcome Outcome
	Row     Waiting
}

// Waiting is an inbox row as a starter needs it. Hold is set for rows that are
// to be started, not for duplicates. Refused says that the ledger shows the row as one
// whose workflow could not be started.
type Waiting struct {
	Email      contract.Email
	ReceivedAt time.Time
	BodySHA256 [32]byte
	Hold       *contract.Hold
	Refused    bool
}

// eventKey is what the first row of an event is unique on; bodyKey is what any
// row is unique on.
type (
	eventKey struct{ source, eventID string }
	bodyKey  struct {
		eventKey
		hash [32]byte
	}
)

// candidate is one row that Accept tries to place for the Acceptance at index.
type candidate struct {
	*Acceptance
	index      int
	conflictOf int64 // 0: as the first row of its id
}

// Accept writes the ledger row and the inbox row of each event and answers in
// the order of batch once all of them are durable. A batch of new events is one
// statement.
//
// The same id with the same body is a Duplicate; with another body it is kept as
// a row of its own, under ConflictWorkflowID and held as id_conflict. Rows with
// Claim are left alone by ClaimWaiting until lease has passed.
//
// On an error nothing is known of any row of the batch; a repeat is safe and finds out.
func (s *Inbox) Accept(ctx context.Context, batch []Acceptance, lease time.Duration) ([]Accepted, error) {
	out := make([]Accepted, len(batch))
	leader := make(map[bodyKey]int, len(batch)) // first of each body
	first := make(map[eventKey]int, len(batch)) // first of each id
	fresh := make([]candidate, 0, len(batch))   // to be tried as first rows
	var open []candidate                        // to be settled by looking

	for i := range batch {
		a := &batch[i]
		key := keyOf(a)
		if _, seen := leader[key]; seen {
			continue
		}
		leader[key] = i
		if _, seen := first[key.eventKey]; seen {
			open = append(open, candidate{Acceptance: a, index: i})
			continue
		}
		first[key.eventKey] = i
		fresh = append(fresh, candidate{Acceptance: a, index: i})
	}

	left, err := s.place(ctx, fresh, lease, out)
	if err != nil {
		return nil, classify("accept events", err)
	}

	if open = append(left, open...); len(open) > 0 {
		if err := s.acceptKnown(ctx, open, lease, out); err != nil {
			return nil, classify("accept events", err)
		}
	}

	if len(leader) < len(batch) {
		for i := range batch {
			if l := leader[keyOf(&batch[i])]; l != i {
				out[i] = Accepted{Outcome: Duplicate, Row: out[l].Row}
				out[i].Row.Hold = nil
			}
		}
	}

	return out, nil
}

func keyOf(a *Acceptance) bodyKey {
	return bodyKey{eventKey{a.Source, a.EventID}, a.BodySHA256}
}

// acceptKnown finds out what became of the candidates that were not placed as first
// rows: the same body is there, or another one has the id.
func (s *Inbox) acceptKnown(ctx context.Context, open []candidate, lease time.Duration, out []Accepted) error {
	for range acceptRounds {
		known, err := s.lookUp(ctx, open)
		if err != nil {
			return err
		}
		var missing []candidate
		for _, c := range open {
			key := keyOf(c.Acceptance)
			if row, ok := known.bodies[key]; ok {
				out[c.index] = Accepted{Outcome: Duplicate, Row: row}
				continue
			}
			if owner, ok := known.owners[key.eventKey]; ok {
				c = c.conflicting(owner)
			}
			missing = append(missing, c)
		}
		if len(missing) == 0 {
			return nil
		}
		if open, err = s.place(ctx, missing, lease, out); err != nil || len(open) == 0 {
			return err
		}
	}

	return ledger.EventContended()
}

// owner is the first row of an id.
type owner struct {
	id   int64
	hash [32]byte
}

// conflicting returns the candidate as the row of an id that o has.
func (c candidate) conflicting(o owner) candidate {
	a := *c.Acceptance
	a.WorkflowID = contract.ConflictWorkflowID(a.Source, a.EventID, a.BodySHA256)
	a.Hold = conflictHold(o.hash[:], a.BodySHA256[:])
	return candidate{Acceptance: &a, index: c.index, conflictOf: o.id}
}

// conflictHold is why a body is held whose event id came first with another one.
func conflictHold(first, this []byte) *contract.Hold {
	return &contract.Hold{
		Reason: contract.IDConflict,
		Detail: fmt.Sprintf("the event id came before with another body: first sha256 %s, this one %s",
			hex.EncodeToString(first), hex.EncodeToString(this)),
	}
}

// place inserts what it can and returns the candidates whose place was taken. It sorts
// the rows, so that batches which share ids lock them in the same order.
func (s *Inbox) place(ctx context.Context, rows []candidate, lease time.Duration, out []Accepted) ([]candidate, error) {
	slices.SortFunc(rows, func(a, b candidate) int {
		if c := strings.Compare(a.EventID, b.EventID); c != 0 {
			return c
		}
		return strings.Compare(a.Source, b.Source)
	})
	placed, err := s.queries.PlaceEvents(ctx, columns(rows, lease))
	if err != nil {
		return nil, err
	}

	taken := make([]bool, len(rows))
	for _, p := range placed {
		c := &rows[p.Ord]
		taken[p.Ord] = true
		out[c.index] = Accepted{Outcome: Inserted, Row: c.waiting(p.ID)}
		if c.conflictOf != 0 {
			out[c.index].Outcome = Conflict
		}
	}

	var left []candidate
	for i := range rows {
		if !taken[i] {
			left = append(left, rows[i])
		}
	}
	return left, nil
}

func (c *candidate) waiting(id int64) Waiting {
	return Waiting{
		Email: contract.Email{
			ID: id, WorkflowID: c.WorkflowID, Source: c.Source, EventID: c.EventID,
			Tenant: c.Tenant, CorrelationID: c.CorrelationID, Size: c.Size,
		},
		ReceivedAt: c.ReceivedAt,
		BodySHA256: c.BodySHA256,
		Hold:       c.Hold,
	}
}

// columns turns the rows into one array per column.
func columns(rows []candidate, lease time.Duration) dbsqlc.PlaceEventsParams {
	n := len(rows)
	p := dbsqlc.PlaceEventsParams{
		Ord: make([]int32, n), Source: make([]string, n), EventID: make([]string, n), SHA256: make([][]byte, n),
		ConflictOf: make([]int64, n), WorkflowID: make([]string, n), Tenant: make([]string, n),
		CorrelationID: make([]string, n), Size: make([]int64, n), ReceivedAt: make([]time.Time, n),
		Scheme: make([]string, n), Key: make([]int32, n), Ref: make([]string, n),
		Lease: lease, Body: make([][]byte, n), BodyKey: make([]string, n), HoldReason: make([]string, n),
		HoldDetail: make([]string, n), Claim: make([]bool, n),
	}

	for i := range rows {
		c := &rows[i]
		p.Ord[i], p.Size[i], p.ConflictOf[i] = int32(i), c.Size, c.conflictOf
		p.Source[i], p.EventID[i], p.WorkflowID[i] = c.Source, c.EventID, c.WorkflowID
		p.Tenant[i], p.CorrelationID[i], p.BodyKey[i] = c.Tenant, clean(c.CorrelationID), c.BodyKey
		p.SHA256[i], p.Body[i] = c.BodySHA256[:], c.Body
		p.ReceivedAt[i], p.Claim[i] = c.ReceivedAt, c.Claim
		p.Scheme[i], p.Ref[i] = clean(c.Verified.Scheme), clean(c.Verified.Ref)
		p.Key[i] = int32(c.Verified.Key) //nolint:gosec // a place in a list
		if c.Hold != nil {
			p.HoldReason[i], p.HoldDetail[i] = string(c.Hold.Reason), clean(c.Hold.Detail)
		}
	}
	return p
}

// rivals is what the ledger holds under the ids of some candidates.
type rivals struct {
	owners map[eventKey]owner
	bodies map[bodyKey]Waiting
}

// lookUp reads the first rows of the candidates' ids and the conflicting rows
// with their bodies.
func (s *Inbox) lookUp(ctx context.Context, open []candidate) (rivals, error) {
	n := len(open)
	wanted := dbsqlc.FindRivalsParams{Source: make([]string, n), EventID: make([]string, n), SHA256: make([][]byte, n)}
	for i := range open {
		wanted.Source[i], wanted.EventID[i], wanted.SHA256[i] = open[i].Source, open[i].EventID, open[i].BodySHA256[:]
	}

	rows, err := s.queries.FindRivals(ctx, wanted)
	if err != nil {
		return rivals{}, err
	}

	known := rivals{owners: make(map[eventKey]owner), bodies: make(map[bodyKey]Waiting)}
	for _, r := range rows {
		key := bodyKey{eventKey{r.Source, r.EventID}, [32]byte(r.BodySHA256)}
		known.bodies[key] = Waiting{
			Email: contract.Email{
				ID: r.ID, WorkflowID: r.WorkflowID, Source: r.Source, EventID: r.EventID, Tenant: r.Tenant,
				CorrelationID: r.CorrelationID, Size: r.Size,
			},
			ReceivedAt: r.ReceivedAt, BodySHA256: key.hash,
		}
		if !r.Conflict {
			known.owners[key.eventKey] = owner{id: r.ID, hash: key.hash}
		}
	}
	return known, nil
}
