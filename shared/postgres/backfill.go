package postgres

import (
	"context"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/postgres/dbsqlc"
)

// Backfill writes the ledger rows of emails whose workflows were started without one.
type Backfill struct {
	queries *dbsqlc.Queries
	inbox   *Inbox
}

// NewBackfill returns the store on db's connections.
func NewBackfill(db *DB) *Backfill {
	return &Backfill{queries: dbsqlc.New(db.pool), inbox: NewInbox(db)}
}

// backfillLease keeps sweeps away from a row whose workflow runs already, until the
// store step removes it. One that takes longer costs a start that Temporal refuses.
const backfillLease = 5 * time.Second

// BackfillRow inserts the row of a workflow that Temporal accepted: the same row, by the same
// statement, as if the event had come while the database was there. body is the
// raw body, or empty where in.Fallback.BodyKey names it.
//
// Meanwhile copies and other bodies of the same event id may have come through the
// database or through Temporal. E stands for the plain workflow id of the event,
// E~h for the conflict id of this body:
//
//	runs as   the event id belongs to       row under the own id      what happens
//	E         no row                        inserted, the owner's     process it
//	E         this body, as E               there already             process it (1)
//	E         this body, as another         none                      elsewhere
//	E         another body, as E            that of the other body    this body becomes a conflict that a
//	                                                                  sweep starts; process the other (1) (2)
//	E         another body, as another      none                      the same, and elsewhere
//	E~h       no row                        none                      early; with in.TakeEventID inserted as owner
//	E~h       this body, as E               none                      elsewhere: it was a plain repeat
//	E~h       this body, as E~h             there already             process it (1)
//	E~h       another body                  inserted or there: the    process it (1), held as id_conflict
//	                                        conflict's
//
// (1) Unless the row is finished and came with another call than in: then it is a
// late copy of what was done, and elsewhere. A row that came with this very call is
// processed again, because the reset of the workflow asked for that.
//
// (2) No other workflow can: the dispatcher finds the id in use and takes the row as started.
//
// A repeat finds what the first call did, also once the inbox row is gone, and
// inserts nothing. The hold is the inbox row's; once that is gone it is what the
// row must have had: the conflict's, or in.Hold where the body is the same.
func (s *Backfill) BackfillRow(ctx context.Context, in contract.BackfillInput, body []byte) (contract.BackfillResult, error) {
	if !plain(in.Email) {
		known, err := s.standing(ctx, in)
		switch {
		case err != nil:
			return contract.BackfillResult{}, err
		case known.mine != nil && known.mine.sameBody:
			return known.result(in), nil
		case known.first == nil && !in.TakeEventID:
			return contract.BackfillResult{FirstMissing: true}, nil
		}
	}

	got, err := s.inbox.Accept(ctx, []Acceptance{acceptance(in, body)}, backfillLease)
	if err != nil {
		return contract.BackfillResult{}, err
	}

	if row := got[0].Row; got[0].Outcome != Duplicate && row.Email.WorkflowID == in.Email.WorkflowID {
		return contract.BackfillResult{
			Email: row.Email, ReceivedAtUnixMilli: in.ReceivedAtUnixMilli, Hold: row.Hold, State: contract.Processing,
		}, nil
	}

	known, err := s.standing(ctx, in)
	if err != nil {
		return contract.BackfillResult{}, err
	}

	return known.result(in), nil
}

// BackfillLost is BackfillRow for an event whose content cannot be read. It returns what
// came through the database under the same body, and says that nothing was found
// where nothing did. With in.Discarded it writes the row without a body first, so
// that the decision has a row and a copy finds the event known; a row of another
// body is not touched by that, and to be processed (OtherBody).
func (s *Backfill) BackfillLost(ctx context.Context, in contract.BackfillInput) (out contract.BackfillResult, found bool, err error) {
	if in.Discarded {
		if err := s.insertTombstone(ctx, in); err != nil {
			return out, false, err
		}
	}
	known, err := s.standing(ctx, in)
	if err != nil || !known.known && !in.Discarded {
		return out, false, err
	}
	return known.result(in), true, nil
}

// plain reports whether the email runs under the id that its event's owner has.
func plain(e contract.Email) bool { return e.WorkflowID == contract.WorkflowID(e.Source, e.EventID) }

func acceptance(in contract.BackfillInput, body []byte) Acceptance {
	e := in.Email
	return Acceptance{
		Source: e.Source, EventID: e.EventID, WorkflowID: e.WorkflowID, Tenant: e.Tenant, CorrelationID: e.CorrelationID,
		BodySHA256: in.Fallback.BodySHA256, Size: e.Size, ReceivedAt: time.UnixMilli(in.ReceivedAtUnixMilli).UTC(),
		Verified: in.Fallback.Verified,
		Body:     body, BodyKey: in.Fallback.BodyKey, Hold: in.Hold, Claim: true,
	}
}

// standing is what the ledger has for a workflow: the hash of the first body of its
// event id, whether it knows the workflow's own body, and the row under its id.
type standing struct {
	first []byte
	known bool
	mine  *ownRow
}

// ownRow is the row under a workflow's id.
type ownRow struct {
	email      contract.Email
	receivedAt time.Time
	state      contract.State
	conflict   bool
	sameBody   bool // it has the workflow's own body
	waiting    bool // its inbox row is there, and hold is what that says
	hold       contract.Hold
}

// standing looks, and takes the row under the workflow's id out of the reach of
// sweeps: its workflow is the one that asks.
func (s *Backfill) standing(ctx context.Context, in contract.BackfillInput) (standing, error) {
	r, err := s.queries.FindBackfill(ctx, dbsqlc.FindBackfillParams{
		Source: in.Email.Source, EventID: in.Email.EventID, WorkflowID: in.Email.WorkflowID, SHA256: in.Fallback.BodySHA256[:],
	})
	if err != nil {
		return standing{}, classify(fmt.Sprintf("backfill row of email %s", in.Email.CorrelationID), err)
	}

	known := standing{first: r.FirstSHA256, known: r.SameBodyKnown}
	if len(known.first) == 0 {
		known.first = nil
	}
	if r.ID != 0 {
		known.mine = &ownRow{
			email: contract.Email{
				ID: r.ID, WorkflowID: r.WorkflowID, Source: r.Source, EventID: r.EventID, Tenant: r.Tenant,
				CorrelationID: r.CorrelationID, Size: r.Size,
			},
			receivedAt: r.ReceivedAt, state: contract.State(r.State), conflict: r.Conflict, sameBody: r.SameBody,
			waiting: r.Waiting, hold: contract.Hold{Reason: contract.Reason(r.HoldReason), Detail: r.HoldDetail},
		}
	}
	return known, nil
}

// result says what the workflow has to do.
func (s *standing) result(in contract.BackfillInput) contract.BackfillResult {
	m := s.mine
	if m == nil || m.state.Terminal() && !m.cameWith(in) {
		return contract.BackfillResult{Duplicate: true, State: contract.Duplicate}
	}
	out := contract.BackfillResult{
		Email: m.email, ReceivedAtUnixMilli: m.receivedAt.UnixMilli(), State: m.state, OtherBody: !m.sameBody,
	}
	switch {
	case m.waiting && m.hold.Reason != "":
		out.Hold = &m.hold
	case m.waiting:
	case m.conflict:
		out.Hold = conflictHold(s.first, in.Fallback.BodySHA256[:])
	case m.sameBody:
		out.Hold = in.Hold
	}
	return out
}

// cameWith reports whether the row was inserted for this very call of the provider.
func (m *ownRow) cameWith(in contract.BackfillInput) bool {
	return m.sameBody && m.receivedAt.UnixMilli() == in.ReceivedAtUnixMilli // a row that the ingress wrote has microseconds
}

// insertTombstone inserts the row of an email without a body, where the event id is free or,
// for a conflict, taken by another body.
func (s *Backfill) insertTombstone(ctx context.Context, in contract.BackfillInput) error {
	e, v := in.Email, in.Fallback.Verified
	err := s.queries.InsertTombstone(ctx, dbsqlc.InsertTombstoneParams{
		Source: e.Source, EventID: e.EventID, WorkflowID: e.WorkflowID, Tenant: e.Tenant,
		CorrelationID: clean(e.CorrelationID), Size: e.Size, SHA256: in.Fallback.BodySHA256[:],
		ReceivedAt: time.UnixMilli(in.ReceivedAtUnixMilli), Plain: plain(e),
		Scheme: clean(v.Scheme), Key: int32(v.Key), Ref: clean(v.Ref), //nolint:gosec // a place in a list
	})
	return classify(fmt.Sprintf("backfill row of email %s", e.CorrelationID), err)
}
