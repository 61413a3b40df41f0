// Package decision is the one way on which a decision of a person gets from our own
// programs to an email: checked, written down under the authenticated name, then
// sent to the email's workflow, which takes or refuses it.
//
// Invariants: who decides comes from access.Identity and from nowhere else; what
// Temporal gets is the id of an intent, so that neither a note nor an edit nor a
// name can be read or forged there; a decision that was refused has changed
// nothing but for the intent's row; who comes second is told who came first.
package decision
