package desk

import (
	"slices"
	"strings"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// Request is what somebody asks for. Who they are is not in it.
type Request struct {
	Action contract.Action
	Note   string
	// Edit is set for the action edit, and only there.
	Edit *contract.Edit
	// From takes the email up at an earlier step than the one that holds it; it is
	// for the action retry alone, an edit finds its own.
	From contract.Step
}

// validate refuses what makes no sense whatever the state of the email. It never
// repeats what was sent.
func (r Request) validate(who access.Identity) error {
	switch {
	case who.Name == "" || len(who.Name) > contract.MaxActor:
		return fault.New(fault.Forbidden, "this identity has no name that a decision could be recorded under")
	case !slices.Contains(contract.Actions, r.Action):
		return fault.Newf(fault.RequestInvalid, "action must be one of %v", contract.Actions)
	}
	if err := CheckNote(r.Note); err != nil {
		return err
	}
	switch {
	case r.Action == contract.Edited && r.Edit == nil:
		return fault.New(fault.RequestInvalid, "edit must say what to change")
	case r.Action != contract.Edited && r.Edit != nil:
		return fault.Newf(fault.RequestInvalid, "edit goes with the action %s alone", contract.Edited)
	case r.From != "" && r.Action != contract.Retry:
		return fault.Newf(fault.RequestInvalid, "from goes with the action %s alone", contract.Retry)
	case r.From != "" && !slices.Contains(contract.Steps, r.From):
		return fault.Newf(fault.RequestInvalid, "from must be one of %v", contract.Steps)
	}
	return nil
}

// CheckNote refuses a note that says nothing, or cannot be kept.
func CheckNote(note string) error {
	switch {
	case strings.TrimSpace(note) == "":
		return fault.New(fault.RequestInvalid, "note must say why")
	case len(note) > contract.MaxNote:
		return fault.Newf(fault.RequestInvalid, "note has at most %d bytes", contract.MaxNote)
	case !access.PlainLines(note):
		return fault.New(fault.RequestInvalid, "note must not hold control characters")
	}
	return nil
}
