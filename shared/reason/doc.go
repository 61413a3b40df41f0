// Package reason says in words what the reasons mean for which an email is held or
// waits: what happened, what each decision does, what to do next. It is the one
// list behind Temporal's Web UI, the console, mailctl and the runbook.
//
// Invariants: every contract.Reason has a whole text; a text is free of mail
// content; the runbook (deploy/docs/runbook.md) has a section of the same anchor.
package reason
