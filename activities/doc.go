// Package activities holds the steps of an email that touch the world. Each is a struct
// whose exported methods are activities under their own names, and declares the small
// interfaces that it needs; the adapters behind them lie in the packages below this one
// and in shared.
//
// To follow one email read backfill.go (only for mail that Temporal accepted while the
// database was unavailable), store.go, inspect.go, route.go, deliver.go and record.go,
// in this order; hold.go and standing.go serve an email that waits for a person. The
// activities about many emails are in replay.go, then replay_chunk.go and
// replay_email.go; what maintenance does is in replay_starts.go, recovery.go and
// purge.go. errors.go says how a failure crosses to Temporal, fast.go when an attempt
// may run inside the worker, delay.go and crash.go how attempts are spread.
//
// Invariants:
//
//   - The package imports the Temporal SDK, the standard library and shared/address, mail,
//     contract, fault, ledger and edit, so that workflows can name its methods without
//     linking a database driver, an object store or a scanner.
//   - Every activity is idempotent on a key of its input, which its doc comment
//     names, and runs as a local activity as well as a regular one.
//   - Nothing but translateError turns an error into what Temporal sees: the code and the
//     public sentence of its fault. Causes go to the log, mail content nowhere.
//   - An unavailable dependency is an error that time cures; only what the mail itself is
//     becomes a hold.
package activities
