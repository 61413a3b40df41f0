package activities

import (
	"context"
	"errors"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// IntentLedger reads decisions that were written down before they were sent.
type IntentLedger interface {
	// Intent reads what an intent says for an email; decision_refused where it says
	// nothing for that one.
	Intent(ctx context.Context, in contract.IntentInput) (contract.IntentResult, error)
}

// StandingLedger reads how far an email is known to have come.
type StandingLedger interface {
	Standing(ctx context.Context, emailID int64) (ledger.Standing, error)
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// StandingDeps is what Standing needs; all of it is required.
type StandingDeps struct {
	Intents IntentLedger
	Emails  StandingLedger
}

// Standing reads for a workflow what the ledger knows of its email and of decisions
// about it. It writes nothing.
type Standing struct{ deps StandingDeps }

// NewStanding checks that nothing is missing.
func NewStanding(deps StandingDeps) (*Standing, error) {
	if deps.Intents == nil || deps.Emails == nil {
		return nil, errors.New("standing: a dependency is missing")
	}
	return &Standing{deps: deps}, nil
}

// LoadIntent reads what an intent says, for the workflow of its email.
func (s *Standing) LoadIntent(ctx context.Context, in contract.IntentInput) (out contract.IntentResult, err error) {
	defer translateError(ctx, in.Email, &err)

	if out, err = s.deps.Intents.Intent(ctx, in); err != nil {
		return contract.IntentResult{}, fmt.Errorf("read intent %d: %w", in.Intent, err)
	}
	return out, nil
}

// LoadStanding returns what a run must respect that processes an email once more:
// where its way begins at the latest, and what was found and not closed.
func (s *Standing) LoadStanding(ctx context.Context, in contract.StandingInput) (out contract.StandingResult, err error) {
	defer translateError(ctx, in.Email, &err)

	standing, err := s.deps.Emails.Standing(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read standing: %w", err)
	}
	if standing.Stored {
		manifest, err := s.deps.Emails.Manifest(ctx, in.Email.ID)
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

// checkReleased is the last check before an email leaves. It uses what the delivery reads
// in any case, so that a workflow that runs again cannot skip it.
func checkReleased(in contract.DeliverInput, m *ledger.Manifest) error {
	switch {
	case len(m.Open) > 0:
		return fault.Newf(fault.NotReleased, "nothing was sent: the ledger says that it is held as %s, and not approved", m.Open[0].Reason)
	case in.Inspected == "" || in.Inspected != edit.Judged(m):
		return fault.New(fault.NotReleased, "nothing was sent: it has not been inspected as it is now")
	}
	return nil
}
