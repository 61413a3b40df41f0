package decision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/reason"
	"mailroom/shared/telemetry"
	"mailroom/shared/temporal"
)

// Intents is where decisions are written down before they are sent.
type Intents interface {
	CreateIntent(ctx context.Context, in ledger.Intent) (int64, error)
	// LastDecision returns the newest decision about an email, false for none.
	LastDecision(ctx context.Context, emailID int64) (ledger.DecisionRow, bool, error)
	// DecideRefused applies an intent to an email whose workflow cannot be started: retry
	// starts it again, discard ends it. It is decision_refused for other actions, and where
	// the email does not wait for that any more.
	DecideRefused(ctx context.Context, emailID, intent int64) (contract.DecisionResult, error)
}

// Decider sends a decision to the workflow of an email and waits for its answer.
// It fails with fault.DecisionRefused (wrapping temporal.ErrNotOpen where no
// workflow is open) or fault.TemporalUnavailable.
type Decider interface {
	Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error)
}

// Edits stores edits. It refuses an edit that does not fit the email with
// fault.RequestInvalid and a sentence.
type Edits interface {
	SaveEdit(ctx context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error)
}

// Deps is what a Service needs; all of it is required.
type Deps struct {
	Intents Intents
	Decider Decider
	Edits   Edits
	Logger  *slog.Logger
}

// Service carries out decisions. It is safe for concurrent use.
type Service struct{ deps Deps }

// New checks that nothing is missing.
func New(deps Deps) (*Service, error) {
	if deps.Intents == nil || deps.Decider == nil || deps.Edits == nil || deps.Logger == nil {
		return nil, errors.New("decision service: a dependency is missing")
	}
	return &Service{deps: deps}, nil
}

// Decide carries out one decision about an email that the ledger returned, and returns
// the state that follows. It fails with
//
//   - fault.Forbidden: the caller is no operator of the email's tenant;
//   - fault.RequestInvalid: the request is invalid, whatever the email's state;
//   - fault.DecisionRefused: the email is neither held nor waiting (any more), and the
//     message names the earlier decision; or it is held for something that the caller
//     cannot have seen;
//   - fault.StorageUnavailable, fault.TemporalUnavailable: the caller may try again. A
//     repeat does no harm, even where the first request succeeded.
func (s *Service) Decide(ctx context.Context, who access.Identity, via contract.Via, email *ledger.EmailRow, r Request) (contract.DecisionResult, error) {
	if who.In(email.Tenant) < access.Operator {
		return contract.DecisionResult{}, fault.New(fault.Forbidden, "deciding about this email needs the operator role in its tenant")
	}
	if err := r.validate(who); err != nil {
		return contract.DecisionResult{}, err
	}
	if email.State.Terminal() {
		return contract.DecisionResult{}, s.ended(ctx, email, nil)
	}

	in := ledger.Intent{
		EmailID: email.ID, State: seenAs(email.State), Action: r.Action, Actor: who.Name, Person: who.Person, Via: via, Note: r.Note, From: r.From,
	}

	if r.Action == contract.Edited {
		saved, err := s.edit(ctx, who, email, r)
		if err != nil {
			return contract.DecisionResult{}, err
		}
		in.EditID, in.From = saved.EditID, saved.From
	}

	id, err := s.deps.Intents.CreateIntent(ctx, in)
	if err != nil {
		return contract.DecisionResult{}, fmt.Errorf("write down decision: %w", err)
	}

	result, err := s.apply(ctx, email, id)
	if errors.Is(err, temporal.ErrNotOpen) {
		return result, s.ended(ctx, email, err)
	}
	if err != nil {
		return result, fmt.Errorf("carry out intent %d: %w", id, err)
	}

	s.deps.Logger.Info("quarantine.decided", append(telemetry.Attrs(email.Email()), slog.String("action", string(r.Action)),
		slog.String("actor", who.Name), slog.String("via", string(via)), slog.Int64("intent", id),
		slog.String("state", string(result.State)), slog.Int("missing", result.Missing))...)

	return result, nil
}

// seenAs returns the state that a decision is about: that in which the caller finds the
// email, where there is something to decide. Of another one the ledger may be behind.
func seenAs(s contract.State) contract.State {
	if s == contract.Quarantined || s == contract.Retrying {
		return s
	}
	return ""
}

// apply sends an intent to the email's workflow, or to the ledger where the workflow
// could not be started: a workflow that has its ID belongs to another event.
func (s *Service) apply(ctx context.Context, email *ledger.EmailRow, intent int64) (contract.DecisionResult, error) {
	if email.StartRefused {
		return s.deps.Intents.DecideRefused(ctx, email.ID, intent)
	}
	return s.deps.Decider.Decide(ctx, email.WorkflowID, contract.Decision{Intent: intent})
}

// edit stores the edit of a request.
func (s *Service) edit(ctx context.Context, who access.Identity, email *ledger.EmailRow, r Request) (contract.SaveEditResult, error) {
	saved, err := s.deps.Edits.SaveEdit(ctx, contract.SaveEditInput{
		Email: email.Email(), Edit: *r.Edit, Actor: who.Name, Note: r.Note,
	})
	if err != nil {
		return saved, fmt.Errorf("store edit: %w", err)
	}
	return saved, nil
}

// ended refuses a decision about an email whose workflow is not running.
func (s *Service) ended(ctx context.Context, email *ledger.EmailRow, cause error) error {
	last, found, err := s.deps.Intents.LastDecision(ctx, email.ID)
	switch {
	case err == nil && !found && !email.State.Terminal(): // terminated, or lost with Temporal's data
		return fault.Wrap(fault.DecisionRefused, "Temporal has no open workflow of this email. If its state stays "+email.State.Word()+
			", replay it from routing: that starts it again", cause)
	case err != nil || !found:
		return fault.Wrap(fault.DecisionRefused, "this email is not held", errors.Join(cause, err))
	default:
		return fault.Wrap(fault.DecisionRefused, "this email is not held any more: "+reason.Decided(contract.Decided{
			Action: last.Action, Actor: last.Actor, Via: contract.Via(last.Via), AtUnixMilli: last.At.UnixMilli(),
		}), cause)
	}
}
