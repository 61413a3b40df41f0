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
func (d *decisions) admit(ctx workflow.Context, in contract.Decision) error {
	if in.Intent != 0 {
		switch {
		case in != (contract.Decision{Intent: in.Intent, Records: in.Records}):
			return errors.New("an intent stands alone: it says what is decided, who decided and why")
		case len(d.quarantine.held) == 0 && len(d.journal.openToDecision()) == 0 && !d.intents[in.Intent]:
			return d.nothingOpen()
		}
		return nil
	}

	if err := contract.CheckDecision(in); err != nil {
		return err
	}
	if len(in.Actor) > contract.MaxActor {
		return errors.New("the actor has at most " + strconv.Itoa(contract.MaxActor) + " bytes")
	}
	in.Actor = contract.Claimed(in.Actor)
	return d.checkRuling(ctx, ruling{Decision: in})
}

// checkRuling refuses what the state of the email does not allow, whatever its sender
// may do.
func (d *decisions) checkRuling(ctx workflow.Context, r ruling) error {
	held, waits := d.quarantine.held, d.journal.openToDecision()
	switch {
	case len(held) == 0 && len(waits) == 0:
		return d.nothingOpen()
	case r.Action == contract.Held && len(waits) == 0:
		return errors.New("it is held already: it goes on when it is approved")
	case r.Action == contract.Held:
		return nil
	case len(held) == 0 && r.Action == contract.Approve:
		return errors.New("it is not held: it waits for a dependency and is tried again by itself; retry tries it now")
	case r.Action != contract.Discard && held.unseen(workflow.Now(ctx), d.about):
		return errors.New("it was held a moment ago for another reason, " + string(d.journal.reason) + ": look at it, then decide again")
	case r.Via == contract.ViaSystem && !held.curableAlone():
		return errors.New("it is held for something that time does not cure: a person has to decide")
	case r.Action == contract.Approve && held.approvedBy(r):
		return errors.New(held.approvedAlready(r))
	}
	return nil
}

// changedSince refuses a decision of which the sender has seen the email in another state:
// held and not waiting, or waiting and not held. Empty: any.
func (d *decisions) changedSince(seen contract.State) error {
	held := len(d.quarantine.held) > 0
	switch {
	case seen == contract.Quarantined && !held:
		return notHeld(d.journal.state, d.last)
	case seen == contract.Retrying && held:
		return errors.New("it does not wait any more, it is held as " + string(d.journal.reason) + ": look at it, then decide again")
	}
	return nil
}

// nothingOpen refuses a decision about an email that is not held, and does not wait for
// what people can decide about.
func (d *decisions) nothingOpen() error {
	err := notHeld(d.journal.state, d.last)
	if d.journal.state == contract.Retrying {
		return errors.New(err.Error() + ", and it waits for the database")
	}
	return err
}

// notHeld returns the refusal of a decision that comes second: it says what was decided
// first.
func notHeld(state contract.State, last *contract.Decided) error {
	why := "this email is not held: its state is " + state.Word()
	if last != nil {
		why = reason.Decided(*last) + "; its state is " + state.Word()
	}
	return errors.New(why)
}

// unseen reports whether something is held for a reason that the sender of a decision
// can hardly have seen. about is what the last decision was about.
func (s heldSteps) unseen(now time.Time, about []contract.Reason) bool {
	seen := map[contract.Reason]bool{}
	for _, r := range about {
		seen[r] = true
	}
	for _, h := range s {
		if now.Sub(h.since) >= readTime {
			for _, one := range h.holds {
				seen[one.Reason] = true
			}
		}
	}
	if len(seen) == 0 {
		return false
	}

	for _, h := range s {
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
func (s heldSteps) curableAlone() bool {
	for _, h := range s {
		for _, one := range h.holds {
			if !reason.Text(one.Reason).Unavailable {
				return false
			}
		}
	}
	return true
}

// beyond returns a reason other than only that something is held for; empty where
// there is none, or only is empty.
func (s heldSteps) beyond(only contract.Reason) contract.Reason {
	for _, h := range s {
		for _, one := range h.holds {
			if only != "" && one.Reason != only {
				return one.Reason
			}
		}
	}
	return ""
}
