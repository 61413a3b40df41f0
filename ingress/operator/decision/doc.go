// Package decision is the decision service: it checks a decision, writes it down under
// the authenticated name as an intent, and sends the intent to the email's workflow, which
// accepts or refuses it.
//
// Invariants: the actor comes from access.Identity and from nowhere else; Temporal gets
// the id of an intent alone, so that neither a note nor an edit nor a name can be read or
// forged there; a refused decision has changed nothing but the intent's row; a second
// decision is refused with the name and time of the first.
//
// To follow a decision, read next: shared/temporal's Decider, then
// workflows/quarantine_decisions.go.
package decision
