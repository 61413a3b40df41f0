// Package webhook is the public listener: it receives a provider's requests, verifies
// them, hands each event to the accepter and answers. It also serves /healthz, /readyz
// and the schemas of events.
//
// Invariants:
//   - No 2xx before the accepter has returned, and so before something durable holds
//     the whole event.
//   - Nothing looks inside a body, writes a row, an object or a log line about it
//     before its signature has been verified over the exact bytes. A refused request
//     leaves nothing behind but counters.
//   - A body is read once and bounded: up to 64 KiB in memory of its own, up to 1 MiB
//     in a shared buffer, above that in a temporary file without a name.
//   - Fault codes become HTTP statuses in respond.go and the source's answer table, and
//     nowhere else.
//
// To follow one email, read handler.go from the top; next ingress/accept.
package webhook
