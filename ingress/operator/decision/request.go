package decision

import (
	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// Request is a decision as a caller asks for it. The caller is not in it.
type Request struct {
	Action contract.Action
	Note   string
	// Edit is set for the action edit, and only there.
	Edit *contract.Edit
	// From runs the email again from an earlier step than the one that holds it. It is
	// for the action retry alone; an edit finds its own.
	From contract.Step
}

// validate refuses requests that are invalid whatever the state of the email. It never
// repeats what was sent.
func (r Request) validate(who access.Identity) error {
	if who.Name == "" || len(who.Name) > contract.MaxActor {
		return fault.New(fault.Forbidden, "this identity has no name under which a decision can be recorded")
	}
	if err := contract.CheckDecision(contract.Decision{Action: r.Action, Note: r.Note, Edit: r.Edit, From: r.From}); err != nil {
		return fault.New(fault.RequestInvalid, err.Error())
	}
	return CheckNote(r.Note)
}

// CheckNote refuses a note that is empty or cannot be stored.
func CheckNote(note string) error {
	if err := contract.CheckNote(note); err != nil {
		return fault.New(fault.RequestInvalid, err.Error())
	}
	return nil
}
