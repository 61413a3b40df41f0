package activities

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// EnrolLedger gives a carried email its row. Both methods find what an earlier
// call of them did, and repeat nothing.
type EnrolLedger interface {
	// Enrol inserts the row, with body unless in.Carried names it, or finds the one
	// that the workflow has to carry.
	Enrol(ctx context.Context, in contract.EnrolInput, body []byte) (contract.EnrolResult, error)
	// EnrolLost does that for an event whose content cannot be read: found says
	// whether the ledger knows it from elsewhere, or a person gave it up.
	EnrolLost(ctx context.Context, in contract.EnrolInput) (out contract.EnrolResult, found bool, err error)
}

// Opener gives the content that an ingress sealed, at most limit bytes. A key that
// is not there yet is an error that time cures; content_lost is for good.
type Opener interface {
	Open(s contract.Sealed, limit int64) ([]byte, error)
}

// EnrolDeps is what Enrol needs; all of it is required.
type EnrolDeps struct {
	Ledger EnrolLedger
	Opener Opener
}

// Enrol is the first step of an email that Temporal accepted while the database
// was away.
type Enrol struct{ deps EnrolDeps }

// NewEnrol checks that nothing is missing.
func NewEnrol(deps EnrolDeps) (*Enrol, error) {
	if deps.Ledger == nil || deps.Opener == nil {
		return nil, errors.New("enrol: a dependency is missing")
	}
	return &Enrol{deps: deps}, nil
}

// Enrol writes the ledger row and the inbox row that the ingress could not write,
// and says which row the workflow carries from then on. It is idempotent on
// Email.WorkflowID and Carried.BodySHA256. A body up to contract.MaxCarried goes
// into the inbox row as it is, whatever its size, as it does at the door while the
// object store is away.
//
// An event whose content cannot be read is content_lost, unless the same event has
// come through the database since.
func (s *Enrol) Enrol(ctx context.Context, in contract.EnrolInput) (out contract.EnrolResult, err error) {
	defer settle(ctx, in.Email, &err)
	defer beat(ctx, in.Email.Size)()

	if in.Discarded {
		return s.lost(ctx, in, nil)
	}
	body, err := s.content(in.Carried)
	if fault.Is(err, fault.ContentLost) {
		return s.lost(ctx, in, err)
	}
	if err != nil {
		return out, fmt.Errorf("open carried event: %w", err)
	}
	if out, err = s.deps.Ledger.Enrol(ctx, in, body); err != nil {
		return contract.EnrolResult{}, fmt.Errorf("enrol: %w", err)
	}
	return out, nil
}

// lost looks for an event without its content; why is what came of that.
func (s *Enrol) lost(ctx context.Context, in contract.EnrolInput, why error) (contract.EnrolResult, error) {
	out, found, err := s.deps.Ledger.EnrolLost(ctx, in)
	switch {
	case err != nil:
		return contract.EnrolResult{}, fmt.Errorf("enrol without content: %w", err)
	case !found:
		return contract.EnrolResult{}, fmt.Errorf("open carried event: %w", why)
	}
	return out, nil
}

// content gives the carried body, which is the one that the ingress hashed, or
// nothing where it lies in the object store.
func (s *Enrol) content(c contract.Carried) ([]byte, error) {
	switch {
	case c.BodyKey != "":
		return nil, nil
	case c.Body == nil:
		return nil, fault.New(fault.ContentLost, "the workflow was started without the event")
	}
	body, err := s.deps.Opener.Open(*c.Body, contract.MaxCarried)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(body) != c.BodySHA256 {
		return nil, fault.New(fault.ContentLost, "the carried event is not the one that was accepted")
	}
	return body, nil
}
