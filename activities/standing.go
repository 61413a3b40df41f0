package activities

import (
	"context"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// LoadStanding returns what a run must respect that carries an email once more: where its
// way begins at the latest, and what was found and not closed. It writes nothing.
func (s *Holds) LoadStanding(ctx context.Context, in contract.StandingInput) (out contract.StandingResult, err error) {
	defer settle(ctx, in.Email, &err)

	standing, err := s.deps.Ledger.Standing(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read standing: %w", err)
	}
	if standing.Stored {
		manifest, err := s.deps.Ledger.Manifest(ctx, in.Email.ID)
		if err != nil {
			return out, fmt.Errorf("read manifest: %w", err)
		}
		out.Content = edit.Judged(manifest)
	}
	out.From, out.Findings = standing.From(out.Content), standing.Findings
	if out.From == contract.StepRoute {
		out.Inspected = standing.Inspected
	}
	return out, nil
}

// released is the last look before an email leaves. It reads what the delivery has
// read in any case, so that no way of running a workflow again leads past it.
func released(in contract.DeliverInput, m *ledger.Manifest) error {
	switch {
	case len(m.Open) > 0:
		return fault.Newf(fault.NotReleased, "nothing was sent: the ledger says that it is held as %s, and not approved", m.Open[0].Reason)
	case in.Inspected == "" || in.Inspected != edit.Judged(m):
		return fault.New(fault.NotReleased, "nothing was sent: it has not been inspected as it is now")
	}
	return nil
}
