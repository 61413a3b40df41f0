package workflows

import (
	"time"

	"mailroom/shared/contract"
)

// heldSteps is everything of an email that waits for a person.
type heldSteps []*heldStep

// heldStep is one step, or one delivery, that waits for a person.
type heldStep struct {
	at       contract.Step
	name     string    // of the step, for people
	delivery *delivery // of StepDeliver
	holds    []contract.Hold
	asked    bool // by a person, while the step waited for its next attempt
	since    time.Time

	plan      contract.HoldPlan
	approvals []contract.Approval
	reminders int  // how many there were
	level     int  // of the last of them
	due       bool // its deadline has passed

	action contract.Action // empty until it is decided about
	from   contract.Step   // the step that the decision sends the email back to, if not this one
}

// foundAt is the step under which the ledger keeps why a step is held. What a person has
// asked for is kept under the last step before the deliveries, whatever step waited: a
// later run comes to that one in any case.
func (h *heldStep) foundAt() contract.Step {
	if h.asked {
		return contract.StepRoute
	}
	return h.at
}
