package contract

// Finding is one reason that a step found to hold an email for, and what became of
// it. The ledger keeps one for each email, step and reason, for the steps before
// StepDeliver; what holds a delivery is in its row of deliveries. Findings outlive
// the workflow that made them: a later run has to pass what is not closed.
type Finding struct {
	Step   Step   `json:"step"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail,omitempty"`
	// Ingress reports that the ingress found it: no step looks for it again.
	Ingress bool         `json:"ingress,omitempty"`
	State   FindingState `json:"state"`
	// Needed is how many people have to approve, Approvals are those given so far.
	Needed    int        `json:"needed,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
}

// FindingState is what became of a finding.
type FindingState string

// The states of a finding. Nothing is delivered while one is open or to be repeated.
const (
	FindingOpen FindingState = "open" // holds the email, or held it when the email was discarded
	// FindingRepeat follows a decision to run the step again, which has not passed since.
	FindingRepeat   FindingState = "repeat"
	FindingPassed   FindingState = "passed"   // the step was run again and did not find it
	FindingApproved FindingState = "approved" // by as many people as it needs, or by a policy
)

// FindingStates lists every state once.
var FindingStates = []FindingState{FindingOpen, FindingRepeat, FindingPassed, FindingApproved}

// Closed reports whether the email may go on as far as this finding is concerned.
func (f Finding) Closed() bool { return f.State == FindingPassed || f.State == FindingApproved }

// Restored reports whether a new run holds the email for it: a person has to judge it, and
// no person has. A finding of an outage, or of a missing rule, is not restored: there it is
// enough that the step passes.
func (f Finding) Restored() bool { return f.State == FindingOpen && f.Reason.Judged() }

// Waivable reports whether an approval lets the email pass. To approve another reason
// is to run the step once more, because without it there is nothing to go on with.
func (r Reason) Waivable() bool {
	switch r {
	case Unroutable, DownstreamRejected, DownstreamExhausted, DownstreamUnavailable, AmbiguousEffect,
		StorageUnavailable, Internal:
		return false
	}
	return true
}

// Judged reports whether the reason is about the email, so that a person lets it pass
// or does not. An unavailable scanner has found nothing: it can be waived, and a step
// that passes closes it as well.
func (r Reason) Judged() bool { return r.Waivable() && r != ScannerUnavailable }

// StandingInput asks what the ledger knows of an email that is processed once more.
// LoadStanding is idempotent: it writes nothing.
type StandingInput struct {
	Email Email `json:"email"`
}

// StandingResult is what a new run has to respect.
type StandingResult struct {
	// From is the earliest step that is not known to be passed: StepStore, StepInspect
	// or StepRoute.
	From Step `json:"from"`
	// Findings are all of the email's, closed ones as well.
	Findings []Finding `json:"findings,omitempty"`
	// Inspected is the last inspection, zero where From is before StepRoute.
	Inspected Inspected `json:"inspected,omitzero"`
	// Content is what is stored now, as Inspected.Content has it; empty before StepStore.
	Content string `json:"content,omitempty"`
}
