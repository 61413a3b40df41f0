// Package activities holds the steps of an email that touch the world. Each is a struct
// whose exported methods are activities under their own names, and declares the small
// interfaces that it needs; the adapters behind them lie in package downstream and
// in shared.
//
// To follow one email, read in this order: backfill.go (only for an email that Temporal
// accepted while the database was unavailable), store.go, inspect.go, route.go,
// deliver.go, which makes its body with request.go, and record.go.
// hold.go, standing.go and edit.go serve an email that waits for a person. The activities
// about many emails are in replay.go, then replay_chunk.go, replay_email.go and
// replay_preview.go (with reread.go); what maintenance does is in replay_starts.go, lost_ends.go,
// recovery.go and purge.go. errors.go says how a failure crosses to Temporal, fast.go when
// an attempt may run inside the worker, delay.go and crash.go how attempts are spread.
//
// Invariants:
//
//   - The package imports the Temporal SDK, golang.org/x/sync, the standard library and
//     shared/address, mail, contract, fault, ledger and edit, so that workflows can name
//     its methods without linking a database driver, an object store or a scanner.
//   - Every activity is idempotent on a key of its input, which its doc comment
//     names, and runs as a local activity as well as a regular one.
//   - Nothing but translateError turns an error into what Temporal sees: the code and the
//     public sentence of its fault. Causes go to the log, mail content nowhere.
//   - An unavailable dependency is an error that time cures; only what the mail itself is
//     becomes a hold.
package activities
