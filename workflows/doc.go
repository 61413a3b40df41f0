// Package workflows holds the workflow that carries one email from its accepted
// row to its end.
//
// To follow one email read inbound_email.go from the top; backfill.go is what comes
// before for an email that Temporal took while the database was away, quarantine.go
// and quarantine_decisions.go what happens when a person must look, attempt.go how each step is tried fast
// first and durably after, options.go every timeout and retry policy.
//
// Invariants: the code is deterministic (workflowcheck and the replay of
// recorded histories in testdata/history hold it to that, and a change of
// behaviour goes through workflow.GetVersion); no mail content, address or
// subject is in any input, result, search attribute or detail, but for the sealed
// event of an email that has no row yet; every activity is named by method
// reference and is idempotent on its input.
package workflows
