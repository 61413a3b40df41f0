// Package postgres keeps the ledger, the inbox and the dedup of Mailroom in one
// PostgreSQL database.
//
// Invariants:
//
//   - A pair of source and event id has one first row in emails, for ever. The
//     same id with another body gets a row of its own, one per body, that points
//     to the first and is held as id_conflict.
//   - An inbox row holds, or names, the whole raw body. It goes in the statement
//     that records where the object store keeps that body, never before.
//   - Every write may be repeated: a repeat changes nothing, a late one never
//     undoes a newer one (sequence of emails, delivered of deliveries). What is overruled
//     so is told: the run of a workflow that goes on comes again under a higher number.
//     The one exception counts: SaveVerificationFailures says what a repeat does.
//   - Each method is one round trip to the server where the common case allows
//     it, and one transaction.
//   - An error of the driver that time may cure carries the code
//     storage_unavailable, told by SQLSTATE or type, never by text.
//   - Text is stored as valid UTF-8 without NUL; what is not is mended here, so
//     that one field cannot keep an email out of the ledger.
package postgres
