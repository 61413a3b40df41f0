package activities

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// BackfillLedger writes the row of an email that was started through Temporal. Both
// methods find what an earlier call did, and repeat nothing.
type BackfillLedger interface {
	// BackfillRow inserts the row, with body unless in.Fallback names it, or finds the one
	// that the workflow has to process.
	BackfillRow(ctx context.Context, in contract.BackfillInput, body []byte) (contract.BackfillResult, error)
	// BackfillLost does that for an event whose content cannot be read: found says
	// whether the ledger knows it from elsewhere, or a person discarded it.
	BackfillLost(ctx context.Context, in contract.BackfillInput) (out contract.BackfillResult, found bool, err error)
}

// Opener returns the content that an ingress sealed, at most limit bytes. A key that
// is not there yet is an error that time cures; content_lost is for good.
type Opener interface {
	Open(s contract.Sealed, limit int64) ([]byte, error)
}

// BackfillDeps is what Backfill needs; all of it is required.
type BackfillDeps struct {
	Ledger BackfillLedger
	Opener Opener
}

// Backfill is the first step of an email that Temporal accepted while the database was
// unavailable.
type Backfill struct{ deps BackfillDeps }

// NewBackfill checks that nothing is missing.
func NewBackfill(deps BackfillDeps) (*Backfill, error) {
	if deps.Ledger == nil || deps.Opener == nil {
		return nil, errors.New("backfill: a dependency is missing")
	}
	return &Backfill{deps: deps}, nil
}

// Backfill writes the ledger row and the inbox row that the ingress could not write,
// and returns which row the workflow processes from then on. It is idempotent on
// Email.WorkflowID and Fallback.BodySHA256. A body up to contract.MaxFallbackBody goes
// into the inbox row as it is, whatever its size, as it does in the ingress
// while the object store is unavailable.
//
// An event whose content cannot be read is content_lost, unless the same event has
// come through the database since.
func (s *Backfill) Backfill(ctx context.Context, in contract.BackfillInput) (out contract.BackfillResult, err error) {
	defer translateError(ctx, in.Email, &err)
	defer startHeartbeat(ctx, in.Email.Size)()

	if in.Discarded {
		return s.backfillLost(ctx, in, nil)
	}

	body, err := s.content(in.Fallback)
	if fault.Is(err, fault.ContentLost) {
		return s.backfillLost(ctx, in, err)
	}
	if err != nil {
		return out, fmt.Errorf("open event: %w", err)
	}

	if out, err = s.deps.Ledger.BackfillRow(ctx, in, body); err != nil {
		return contract.BackfillResult{}, fmt.Errorf("backfill row: %w", err)
	}
	return out, nil
}

// backfillLost looks for the row of an event whose content cannot be read; why says why.
func (s *Backfill) backfillLost(ctx context.Context, in contract.BackfillInput, why error) (contract.BackfillResult, error) {
	out, found, err := s.deps.Ledger.BackfillLost(ctx, in)
	switch {
	case err != nil:
		return contract.BackfillResult{}, fmt.Errorf("backfill without content: %w", err)
	case !found:
		return contract.BackfillResult{}, fmt.Errorf("open event: %w", why)
	}
	return out, nil
}

// content returns the body, which is the one that the ingress hashed, or nothing where
// it is in the object store.
func (s *Backfill) content(c contract.FallbackEvent) ([]byte, error) {
	switch {
	case c.BodyKey != "":
		return nil, nil
	case c.Body == nil:
		return nil, fault.New(fault.ContentLost, "the workflow was started without the event")
	}
	body, err := s.deps.Opener.Open(*c.Body, contract.MaxFallbackBody)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(body) != c.BodySHA256 {
		return nil, fault.New(fault.ContentLost, "the event in the workflow is not the one that was accepted")
	}
	return body, nil
}
