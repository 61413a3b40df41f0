// Package reason explains the reasons for which an email is held or waits: what
// happened, what each decision does, what to do next. Temporal's Web UI, the console
// and the runbook all use this list.
//
// Invariants: every contract.Reason has a complete text; a text has no mail content;
// the runbook (deploy/docs/runbook.md) has a section of the same anchor, which begins
// with the same sentences.
//
// Read next: reason.go, the table; package contract has the codes.
package reason
