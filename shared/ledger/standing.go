package ledger

import "mailroom/shared/contract"

// Standing is how far an email is known to have come, whatever became of its
// workflows.
type Standing struct {
	// Stored reports that the store step has run.
	Stored bool
	// Inspected is the last inspection that was recorded, zero where none was.
	Inspected contract.Inspected
	// Findings are what its steps found, closed ones as well, in the order of the steps.
	Findings []contract.Finding
}

// From returns the earliest step that is not known to be passed: StepStore, StepInspect
// or StepRoute. content is what is stored now, as edit.Judged has it.
func (s Standing) From(content string) contract.Step {
	open := func(at contract.Step) bool {
		for _, f := range s.Findings {
			if f.Step == at && !f.Closed() {
				return true
			}
		}
		return false
	}
	switch {
	case !s.Stored || open(contract.StepStore):
		return contract.StepStore
	case s.Inspected.Content == "" || s.Inspected.Content != content || open(contract.StepInspect):
		return contract.StepInspect
	}
	return contract.StepRoute
}
