// Package downstream calls the destinations: one signed POST for each attempt. Each
// destination has a breaker and a limit of concurrent calls of its own.
//
// Invariants:
//
//   - A call ends by the destination's timeout whatever the destination does, reads a
//     bounded answer, follows no redirect, and connects to no address that package
//     netguard refuses.
//   - The answer of a destination is never part of an error, a log line or a label.
//   - A call that was not made is distinct from one that failed: the body is requested
//     only right before a call.
//
// Read next: sender.go (Send), then destination.go (pause, stop, breaker, limit),
// attempt.go (the HTTP call) and headers.go (headers and signatures). activities/deliver.go decides what an outcome means.
package downstream
