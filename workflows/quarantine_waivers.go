package workflows

import (
	"slices"

	"mailroom/shared/contract"
)

// waivers are the reasons that people let pass.
type waivers map[contract.Reason]bool

// waive lets these reasons pass from now on. It returns false when the step has to run
// again: one of them cannot be waived, or it is the step's own result that has to change
// (no route was looked for while every recipient was foreign).
func (w waivers) waive(at contract.Step, holds []contract.Hold) bool {
	goesOn := true
	for _, h := range holds {
		if !h.Reason.Waivable() {
			goesOn = false
			continue
		}
		w[h.Reason] = true
		if h.Reason == contract.RecipientForeign && at == contract.StepRoute {
			goesOn = false
		}
	}
	return goesOn
}

// raisedBy is the step that finds a reason which an edit may bring up anew. What the
// ingress or the parser finds of the event itself is not in it.
var raisedBy = map[contract.Reason]contract.Step{
	contract.TooLarge:           contract.StepInspect,
	contract.TypeDenied:         contract.StepInspect,
	contract.AttachmentMismatch: contract.StepInspect,
	contract.Infected:           contract.StepInspect,
	contract.Unscannable:        contract.StepInspect,
	contract.ScannerUnavailable: contract.StepInspect,
	contract.RecipientForeign:   contract.StepRoute,
	contract.RecipientUnmatched: contract.StepRoute,
	contract.ManualHold:         contract.StepRoute,
}

// parserReasons are what the store step finds when it reads the mail.
var parserReasons = []contract.Reason{contract.SchemaInvalid, contract.MIMEMalformed, contract.AttachmentUnfetchable}

// takeBack takes back what people let pass of an email that an edit changes from the
// step from on: they let pass what they saw. What the ingress found stays.
func (w waivers) takeBack(from contract.Step, ingress *contract.Hold) {
	for _, r := range contract.Reasons {
		if at, ok := raisedBy[r]; ok && !at.Before(from) {
			delete(w, r)
		}
	}

	if from != contract.StepStore { // the mail is not read again
		return
	}
	for _, r := range parserReasons {
		if ingress == nil || ingress.Reason != r {
			delete(w, r)
		}
	}
}

// takeBackUnseen takes back what people let pass where a later inspection looked at
// other content than before, or found something else for the same reason.
func (w waivers) takeBackUnseen(out contract.InspectResult, before string, findings []finding) {
	other := before != "" && before != out.Inspected.Content
	for _, f := range findings {
		if f.Step != contract.StepInspect || f.State != contract.FindingApproved || !w[f.Reason] {
			continue
		}
		if other || slices.ContainsFunc(out.Holds, func(h contract.Hold) bool { return h.Reason == f.Reason && h.Detail != f.Detail }) {
			delete(w, f.Reason)
		}
	}
}

// released reports whether a person let content go that inspection had held.
func (w waivers) released() bool {
	return slices.ContainsFunc(contract.Reasons, func(r contract.Reason) bool {
		return w[r] && raisedBy[r] == contract.StepInspect
	})
}
