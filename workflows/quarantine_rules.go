package workflows

import (
	"errors"
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/reason"
)

// readTime is how long a hold is fresh. A decision that comes while another hold is
// older, or was decided, is most likely meant for that one (a second click, a repeat
// after a lost answer): it must not release what its sender cannot have seen.
const readTime = 5 * time.Second

// admit refuses what must not enter history. The sentences go to the operator.
func (q *quarantine) admit(ctx workflow.Context, d contract.Decision) error {
	if d.Intent != 0 {
		switch {
		case d != (contract.Decision{Intent: d.Intent, Records: d.Records}):
			return errors.New("an intent stands alone: it says what is decided, by whom and why")
		case len(q.held) == 0 && !q.decided.intents[d.Intent]:
			return q.notHeld()
		}
		return nil
	}

	if err := contract.CheckDecision(d); err != nil {
		return err
	}
	if len(d.Actor) > contract.MaxActor {
		return errors.New("the actor has at most " + strconv.Itoa(contract.MaxActor) + " bytes")
	}
	d.Actor = contract.Claimed(d.Actor)
	return q.checkRuling(ctx, ruling{Decision: d})
}

// checkRuling refuses what the state of the email does not allow, whatever its sender
// may do.
func (q *quarantine) checkRuling(ctx workflow.Context, r ruling) error {
	switch {
	case len(q.held) == 0:
		return q.notHeld()
	case r.Action != contract.Discard && q.unseen(workflow.Now(ctx)):
		return errors.New("it was held a moment ago for another reason, " + string(q.journal.reason) + ": look at it, then decide again")
	case r.Via == contract.ViaSystem && !q.curableAlone():
		return errors.New("it is held for something that time does not cure: a person has to decide")
	case r.Action == contract.Approve && q.approvedBy(r):
		return errors.New(q.approvedAlready(r))
	}
	return nil
}

// notHeld returns the refusal of a decision that comes second: it says what was decided
// first.
func (q *quarantine) notHeld() error {
	why := "this email is not held: its state is " + string(q.journal.state)
	if q.decided.last != nil {
		why = reason.Decided(*q.decided.last) + "; its state is " + string(q.journal.state)
	}
	return errors.New(why)
}

// unseen reports whether something is held for a reason that the sender of a decision
// can hardly have seen.
func (q *quarantine) unseen(now time.Time) bool {
	seen := map[contract.Reason]bool{}
	for _, r := range q.decided.about {
		seen[r] = true
	}
	for _, h := range q.held {
		if now.Sub(h.since) >= readTime {
			for _, one := range h.holds {
				seen[one.Reason] = true
			}
		}
	}
	if len(seen) == 0 {
		return false
	}

	for _, h := range q.held {
		for _, one := range h.holds {
			if !seen[one.Reason] && now.Sub(h.since) < readTime {
				return true
			}
		}
	}
	return false
}

// curableAlone reports whether the email is held for nothing but dependencies that were
// unavailable.
func (q *quarantine) curableAlone() bool {
	for _, h := range q.held {
		for _, one := range h.holds {
			if !reason.Text(one.Reason).Unavailable {
				return false
			}
		}
	}
	return true
}

// heldBeyond returns a reason other than only that something is held for; empty where
// there is none, or only is empty.
func (q *quarantine) heldBeyond(only contract.Reason) contract.Reason {
	for _, h := range q.held {
		for _, one := range h.holds {
			if only != "" && one.Reason != only {
				return one.Reason
			}
		}
	}
	return ""
}
