// Package postgres keeps the ledger, the inbox and the deduplication of Mailroom in
// one PostgreSQL database.
//
// DB is a pool of connections. On it there is one store per subject:
//
//	Inbox         accepted events that have no workflow yet
//	Backfill      rows of emails whose workflows were started without one
//	Emails        what the steps of a workflow read and write about its email
//	Views         lists, searches, one email and its timeline, counts
//	Decisions     intents, decisions, edits, reminders
//	Deliveries    deliveries; controls and status of destinations
//	Batches       replays and decisions about many emails, as operators see them
//	BatchWork     claims, results and previews of those, for their workflows
//	Maintenance   what waits for something that has recovered
//	Removal       content of discarded mail, and objects that no email has
//	Access        API tokens, sessions, logins
//	AuditChain    the hash-linked log
//	AuthFailures  counts of failed verifications
//
// A static statement is a query in queries, from which sqlc makes package dbsqlc. In Go are
// statements that are composed, that share a part with one that is (the columns of a replay's
// email, of findings, of a lookup), or that go with others in one round trip and have too many
// parameters for positions (SaveManifest).
//
// Invariants:
//
//   - A pair of source and event id has one first row in emails, for ever. The
//     same id with another body gets a row of its own, one per body, that points
//     to the first and is held as id_conflict.
//   - An inbox row holds, or names, the whole raw body. It is deleted by the statement
//     that records where the object store keeps that body, never before.
//   - Every write may be repeated: a repeat changes nothing, and a late write never
//     undoes a newer one (sequence of emails, delivered of deliveries). The writer of an
//     overruled state gets a *ledger.Overruled; a workflow run that continues writes again
//     under a higher number. The one exception counts: see SaveVerificationFailures.
//   - Each method is one round trip to the server in the common case, and one
//     transaction.
//   - A driver error that time may cure has the code storage_unavailable, decided
//     by SQLSTATE or type, never by text.
//   - Text is stored as valid UTF-8 without NUL. Other text is repaired here, so that
//     one field cannot keep an email out of the ledger.
package postgres
