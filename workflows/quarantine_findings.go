package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// findings is what the steps of an email found and what became of it, as the ledger
// has to know it: nothing is delivered while the ledger takes one for open, and a
// later run begins with them.
type findings struct {
	list    []finding
	pending []contract.Finding // open since an earlier run, their step has not been run yet
}

// finding is one of them.
type finding struct {
	contract.Finding
	told bool // the ledger is, or will be
}

// set adds a finding or changes the one of the same step and reason. To set one as it is
// changes nothing.
func (f *findings) set(one contract.Finding) {
	for i := range f.list {
		if old := &f.list[i]; old.Step == one.Step && old.Reason == one.Reason {
			one.Ingress = one.Ingress || old.Ingress
			same := old.Detail == one.Detail && old.State == one.State && old.Needed == one.Needed && slices.Equal(old.Approvals, one.Approvals)
			*old = finding{Finding: one, told: old.told && same}
			return
		}
	}
	f.list = append(f.list, finding{Finding: one})
}

// change moves every finding that which selects to a state.
func (f *findings) change(which func(contract.Finding) bool, state contract.FindingState) {
	for i := range f.list {
		if one := &f.list[i]; one.State != state && which(one.Finding) {
			one.State, one.told = state, false
		}
	}
}

// untold returns what the ledger has not been told, and takes it for told.
func (f *findings) untold() []contract.Finding {
	var out []contract.Finding
	for i := range f.list {
		if one := &f.list[i]; !one.told {
			out, one.told = append(out, one.Finding), true
		}
	}
	return out
}

// dirty reports whether there is something that the ledger has not been told.
func (f *findings) dirty() bool {
	return slices.ContainsFunc(f.list, func(one finding) bool { return !one.told })
}

// all returns every finding.
func (f *findings) all() []contract.Finding {
	var out []contract.Finding
	for _, one := range f.list {
		out = append(out, one.Finding)
	}
	return out
}

// recorded reports whether the findings of a step are kept: a delivery has rows of its
// own, and before an email is enrolled there is no row to keep them under.
func recorded(at contract.Step) bool { return at != contract.StepDeliver && at != stepEnrol }

// noteHold notes what an email is held for, with the approvals given so far.
func (e *inboundEmail) noteHold(h *held, state contract.FindingState, by []contract.Approval) {
	if !recorded(h.at) {
		return
	}
	for _, one := range h.holds {
		s := state
		if state == contract.FindingApproved && !one.Reason.Waivable() {
			s = contract.FindingRepeat
		}
		e.findings.set(contract.Finding{
			Step: h.at, Reason: one.Reason, Detail: one.Detail, State: s, Needed: h.needed(), Approvals: by,
			Ingress: h.at == contract.StepStore && e.in.Hold != nil && e.in.Hold.Reason == one.Reason,
		})
	}
}

// noteRuling notes what a decision makes of everything that is held.
func (e *inboundEmail) noteRuling(r ruling) {
	for _, h := range e.held {
		switch r.Action {
		case contract.Discard: // what was open stays so, also where an older release held it
			e.noteHold(h, contract.FindingOpen, h.approvals)
		case contract.Approve:
			by := h.approvals
			if r.Via == contract.ViaPolicy {
				by = append(slices.Clone(by), contract.Approval{Actor: r.Actor, Verified: r.verified})
			}
			e.noteHold(h, contract.FindingApproved, by)
		default:
			e.noteHold(h, contract.FindingRepeat, nil)
		}
	}
}

// passedAt closes what a step found once and did not find this time.
func (e *inboundEmail) passedAt(at contract.Step) {
	e.findings.change(func(f contract.Finding) bool { return f.Step == at && !f.Closed() }, contract.FindingPassed)
}

// restored adds to what a step found what an earlier run left open at it.
func (e *inboundEmail) restored(at contract.Step, holds []contract.Hold) []contract.Hold {
	e.findings.pending = slices.DeleteFunc(e.findings.pending, func(f contract.Finding) bool {
		if f.Step != at {
			return false
		}
		if !heldFor(holds, f.Reason) {
			holds = append(slices.Clip(holds), contract.Hold{Reason: f.Reason, Detail: f.Detail})
		}
		return true
	})
	return holds
}

func heldFor(holds []contract.Hold, r contract.Reason) bool {
	return slices.ContainsFunc(holds, func(h contract.Hold) bool { return h.Reason == r })
}

// ingressHolds are what the ingress found: every run of the store step holds the email
// for them until they are let pass.
func (e *inboundEmail) ingressHolds() []contract.Hold {
	var out []contract.Hold
	if e.in.Hold != nil {
		out = append(out, *e.in.Hold)
	}
	for _, f := range e.findings.list {
		if f.Ingress && f.Reason.Judged() && f.State != contract.FindingApproved && !heldFor(out, f.Reason) {
			out = append(out, contract.Hold{Reason: f.Reason, Detail: f.Detail})
		}
	}
	return out
}

// changeReview guards that a replayed email asks the ledger where its way begins.
const changeReview = "review-standing"

// review asks the ledger what is known to be passed, and returns where the email has to
// be taken up: at the step that was asked for, or an earlier one. What people have not
// let pass holds the email again when it comes to that step; what they let pass of the
// steps that are not run again stays so. It asks for as long as it takes.
func (e *inboundEmail) review(ctx workflow.Context, asked contract.Step) contract.Step {
	var out contract.StandingResult
	err := e.patientTries(ctx, "review", recordOptions, holds.Standing, contract.StandingInput{Email: e.in.Email}, &out)
	if err != nil || out.From == "" { // a bug: the whole way then, and nothing leaves that the ledger holds
		workflow.GetLogger(ctx).Error("review the standing of an email", "error", err)
		return contract.StepStore
	}

	from := asked
	if out.From.Before(from) {
		from = out.From
	}

	e.findings.pending = nil
	for _, f := range out.Findings {
		e.findings.set(f)
		if f.Restored() && !f.Ingress { // what the ingress found, the store step holds it for
			e.findings.pending = append(e.findings.pending, f)
		}
		if (f.Ingress || f.Step.Before(from)) && letPass(out.Findings, f.Reason) {
			e.waived[f.Reason] = true
		}
	}
	for i := range e.findings.list {
		e.findings.list[i].told = true // it is what the ledger has said
	}

	switch {
	case out.Inspected.Content != "":
		e.inspected = out.Inspected
	case e.waived[contract.ScannerUnavailable] && from == contract.StepInspect && !slices.ContainsFunc(out.Findings, unclosed):
		// A person let it go without an inspection, as it was then and is still: every
		// edit that changes that takes the permission back.
		e.inspected.Content, from = out.Content, contract.StepRoute
	}
	return from
}

func unclosed(f contract.Finding) bool { return !f.Closed() }

// letPass reports whether people let pass every finding of a reason.
func letPass(list []contract.Finding, r contract.Reason) bool {
	return !slices.ContainsFunc(list, func(f contract.Finding) bool { return f.Reason == r && f.State != contract.FindingApproved })
}

// maxRefusals is how often in a row the ledger may say that an email must not leave
// before a person is asked.
const maxRefusals = 3

// refusedToLeave takes the email back where its delivery says that it must not leave:
// to its inspection, or to an earlier step. It returns false where that has not helped.
func (e *inboundEmail) refusedToLeave(ctx workflow.Context, err error) bool {
	if codeOf(err) != fault.NotReleased || e.refusals >= maxRefusals {
		return false
	}
	e.refusals++
	e.flushFindings(ctx)
	from := e.review(ctx, contract.StepInspect)
	if ctx.Err() == nil { // else another leg has taken it back
		e.back = from
	}
	return true
}

// changeTell guards that a delivery waits until the ledger knows what was decided.
const changeTell = "tell-before-delivery"

// tellFindings waits until the ledger has heard what became of the findings, because a
// delivery asks it. Nearly all mail has none. An email that an older release inspected
// is refused by its delivery first.
func (e *inboundEmail) tellFindings(ctx workflow.Context) {
	if e.in.Email.ID == 0 || e.inspected.Content == "" || e.ledger.empty() && !e.findings.dirty() {
		return
	}
	if workflow.GetVersion(ctx, changeTell, workflow.DefaultVersion, 1) < 1 {
		return
	}
	e.flushFindings(ctx)
}

// flushFindings tells the ledger what it has not been told, and waits until it has
// heard everything.
func (e *inboundEmail) flushFindings(ctx workflow.Context) {
	if e.findings.dirty() {
		e.record(ctx, nil, e.state, e.reason)
	}
	if told, err := workflow.AwaitWithTimeout(ctx, firstWait, e.ledger.empty); told || err != nil {
		return
	}
	w := e.waitFor(ctx, contract.StorageUnavailable, "the ledger has not heard yet what was decided")
	_ = workflow.Await(ctx, e.ledger.empty) // fails with the context alone
	e.resume(ctx, w)
}

// keepsWhatWasSeen takes back what people let pass where a later inspection looked at
// something else, or found something else for the same reason.
func (e *inboundEmail) keepsWhatWasSeen(out contract.InspectResult) {
	if out.Inspected.Content == "" { // an older release
		return
	}
	other := e.inspected.Content != "" && e.inspected.Content != out.Inspected.Content
	for _, f := range e.findings.list {
		if f.Step != contract.StepInspect || f.State != contract.FindingApproved || !e.waived[f.Reason] {
			continue
		}
		if other || slices.ContainsFunc(out.Holds, func(h contract.Hold) bool { return h.Reason == f.Reason && h.Detail != f.Detail }) {
			delete(e.waived, f.Reason)
		}
	}
}

// judgeAgain has every finding judged once more that an edit from the step from on
// may have changed: people let pass what they saw.
func (e *inboundEmail) judgeAgain(from contract.Step) {
	e.findings.change(func(f contract.Finding) bool {
		return f.State == contract.FindingApproved && !f.Ingress && !f.Step.Before(from)
	}, contract.FindingRepeat)
	for _, f := range e.findings.all() {
		if at, ok := raisedBy[f.Reason]; ok && f.Ingress && f.State == contract.FindingApproved && !at.Before(from) {
			e.findings.set(contract.Finding{Step: at, Reason: f.Reason, Detail: f.Detail, State: contract.FindingRepeat})
		}
	}
}
