package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// findings is what the steps of an email found and what became of it, as the ledger
// has to know it: nothing is delivered while the ledger takes one for open, and a
// later run begins with them.
type findings struct {
	in      *contract.InboundEmailInput
	list    []finding
	pending []contract.Finding // open since an earlier run, their step has not been run yet
}

// finding is one of them.
type finding struct {
	contract.Finding
	written bool // the ledger has it, or it is queued for the ledger
}

// set adds a finding or changes the one of the same step and reason. To set one as it is
// changes nothing.
func (f *findings) set(one contract.Finding) {
	for i := range f.list {
		if old := &f.list[i]; old.Step == one.Step && old.Reason == one.Reason {
			one.Ingress = one.Ingress || old.Ingress
			same := old.Detail == one.Detail && old.State == one.State && old.Needed == one.Needed && slices.Equal(old.Approvals, one.Approvals)
			*old = finding{Finding: one, written: old.written && same}
			return
		}
	}
	f.list = append(f.list, finding{Finding: one})
}

// change moves every finding that which selects to a state.
func (f *findings) change(which func(contract.Finding) bool, state contract.FindingState) {
	for i := range f.list {
		if one := &f.list[i]; one.State != state && which(one.Finding) {
			one.State, one.written = state, false
		}
	}
}

// pass closes what a step found once and did not find this time.
func (f *findings) pass(at contract.Step) {
	f.change(func(one contract.Finding) bool { return one.Step == at && !one.Closed() }, contract.FindingPassed)
}

// takeUnwritten returns what the ledger does not know, and takes it for written.
func (f *findings) takeUnwritten() []contract.Finding {
	var out []contract.Finding
	for i := range f.list {
		if one := &f.list[i]; !one.written {
			out, one.written = append(out, one.Finding), true
		}
	}
	return out
}

// dirty reports whether there is something that the ledger does not know.
func (f *findings) dirty() bool {
	return slices.ContainsFunc(f.list, func(one finding) bool { return !one.written })
}

// all returns every finding.
func (f *findings) all() []contract.Finding {
	var out []contract.Finding
	for _, one := range f.list {
		out = append(out, one.Finding)
	}
	return out
}

// load takes over findings that the ledger has.
func (f *findings) load(list []contract.Finding) {
	for _, one := range list {
		f.set(one)
	}
	for i := range f.list {
		f.list[i].written = true
	}
}

// restore adds to what a step found what an earlier run left open at it.
func (f *findings) restore(at contract.Step, holds []contract.Hold) []contract.Hold {
	f.pending = slices.DeleteFunc(f.pending, func(one contract.Finding) bool {
		if one.Step != at {
			return false
		}
		if !heldFor(holds, one.Reason) {
			holds = append(slices.Clip(holds), contract.Hold{Reason: one.Reason, Detail: one.Detail})
		}
		return true
	})
	return holds
}

func heldFor(holds []contract.Hold, r contract.Reason) bool {
	return slices.ContainsFunc(holds, func(h contract.Hold) bool { return h.Reason == r })
}

// judgeAgain has every finding judged once more that an edit from the step from on
// may have changed: people let pass what they saw.
func (f *findings) judgeAgain(from contract.Step) {
	f.change(func(one contract.Finding) bool {
		return one.State == contract.FindingApproved && !one.Ingress && !one.Step.Before(from)
	}, contract.FindingRepeat)

	for _, one := range f.all() {
		if at, ok := raisedBy[one.Reason]; ok && one.Ingress && one.State == contract.FindingApproved && !at.Before(from) {
			f.set(contract.Finding{Step: at, Reason: one.Reason, Detail: one.Detail, State: contract.FindingRepeat})
		}
	}
}

// hasFindings reports whether the findings of a step are recorded: a delivery has rows of
// its own, and before an email is backfilled there is no row to record them under.
func hasFindings(at contract.Step) bool { return at != contract.StepDeliver && at != stepBackfill }

// recordHold records what an email is held for, with the approvals so far.
func (f *findings) recordHold(h *heldStep, state contract.FindingState, by []contract.Approval) {
	if !hasFindings(h.foundAt()) {
		return
	}
	for _, one := range h.holds {
		s := state
		if state == contract.FindingApproved && !one.Reason.Waivable() {
			s = contract.FindingRepeat
		}
		f.set(contract.Finding{
			Step: h.foundAt(), Reason: one.Reason, Detail: one.Detail, State: s, Needed: h.plan.Approvals, Approvals: by,
			Ingress: h.at == contract.StepStore && f.in.Hold != nil && f.in.Hold.Reason == one.Reason,
		})
	}
}

// recordRuling records what a decision makes of everything that is held.
func (f *findings) recordRuling(held heldSteps, r ruling) {
	for _, h := range held {
		switch r.Action {
		case contract.Discard: // what was open stays so
			f.recordHold(h, contract.FindingOpen, h.approvals)
		case contract.Approve:
			by := h.approvals
			if r.Via == contract.ViaPolicy {
				by = append(slices.Clone(by), contract.Approval{Actor: r.Actor, Verified: r.verified})
			}
			f.recordHold(h, contract.FindingApproved, by)
		default:
			f.recordHold(h, contract.FindingRepeat, nil)
		}
	}
}

// ingressHolds are what the ingress found: every run of the store step holds the email
// for them until people let them pass.
func (f *findings) ingressHolds() []contract.Hold {
	var out []contract.Hold
	if f.in.Hold != nil {
		out = append(out, *f.in.Hold)
	}
	for _, one := range f.list {
		if one.Ingress && one.Reason.Judged() && one.State != contract.FindingApproved && !heldFor(out, one.Reason) {
			out = append(out, contract.Hold{Reason: one.Reason, Detail: one.Detail})
		}
	}
	return out
}

// review asks the ledger what is known to be passed, and returns where the way of the
// email has to begin: at the step that was asked for, or an earlier one. What people have
// not let pass holds the email again when it comes to that step; what they let pass of
// the steps that are not run again stays so. It asks for as long as it takes.
func (q *quarantine) review(ctx workflow.Context, asked contract.Step) contract.Step {
	var out contract.StandingResult
	a := attempts{name: "review", options: recordOptions, journal: q.journal, patient: true}
	err := a.run(ctx, callOf(activity.standing.LoadStanding, contract.StandingInput{Email: q.in.Email}, &out))
	if err != nil || out.From == "" { // a bug: the whole way then, and nothing leaves that the ledger holds
		workflow.GetLogger(ctx).Error("review the standing of an email", "error", err)
		return contract.StepStore
	}

	from := asked
	if out.From.Before(from) {
		from = out.From
	}

	q.findings.load(out.Findings)
	q.findings.pending = nil
	for _, f := range out.Findings {
		if f.Restored() && !f.Ingress { // the store step holds it for what the ingress found
			q.findings.pending = append(q.findings.pending, f)
		}
		if (f.Ingress || f.Step.Before(from)) && letPass(out.Findings, f.Reason) {
			q.waived[f.Reason] = true
		}
	}

	switch {
	case out.Inspected.Content != "":
		q.journal.inspected = out.Inspected
	case q.waived[contract.ScannerUnavailable] && from == contract.StepInspect && !slices.ContainsFunc(out.Findings, unclosed):
		// A person let it go without an inspection, as it was then and is still: every
		// edit that changes that takes the permission back.
		q.journal.inspected.Content, from = out.Content, contract.StepRoute
	}
	return from
}

func unclosed(f contract.Finding) bool { return !f.Closed() }

// letPass reports whether people let pass every finding of a reason.
func letPass(list []contract.Finding, r contract.Reason) bool {
	return !slices.ContainsFunc(list, func(f contract.Finding) bool { return f.Reason == r && f.State != contract.FindingApproved })
}
