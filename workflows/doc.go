// Package workflows holds the workflow that processes one email from its accepted row to
// its end, and those about many emails.
//
// To follow one email read inbound_email.go from the top, then attempt.go (each step
// is tried fast first and durably after), deliveries.go, quarantine.go and
// quarantine_decisions.go (a person must look), journal.go (what the ledger and the Web
// UI show). backfill.go comes before all of that for an email that Temporal accepted
// while the database was unavailable. options.go holds every timeout and retry policy;
// batch.go and maintenance.go are the workflows about many emails.
//
// Invariants: the code is deterministic (workflowcheck and the replay of the recorded
// histories in testdata/history hold it to that, and once there is a release a change of
// behaviour goes through workflow.GetVersion); no mail content, address or subject is in
// any input, result, search attribute or detail, but for the sealed event of an email that
// has no row yet; every activity is named by method reference and is idempotent on its
// input.
package workflows
