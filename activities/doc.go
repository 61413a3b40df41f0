// Package activities holds the steps of an email that touch the world: Backfill,
// Store, Inspect, Route, Deliver and the ledger's Record. Each is a struct with one
// exported method, whose name is the name of the activity, and declares the
// small interfaces it needs; the adapters that serve them lie in the packages
// below this one and in shared.
//
// Invariants:
//
//   - The package imports the Temporal SDK, the standard library and shared/mail,
//     contract, fault, ledger and overlay, so that workflows can name its methods without
//     linking a database driver, an object store or a scanner.
//   - Every activity is idempotent on a key of its input, which its doc comment
//     names, and runs as a local activity as well as a regular one.
//   - Nothing but settle turns an error into what Temporal sees: the code and the
//     public sentence of its fault. Causes go to the log, mail content nowhere.
//   - A dependency that is away is an error that time cures; only what the mail
//     itself is becomes a hold.
package activities
