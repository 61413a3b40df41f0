// Package ingress is the door: it takes signed webhooks, makes each event durable
// and answers, and starts one workflow per event behind the answer.
//
// Invariants:
//   - No 2xx before the whole event is committed: its row, and its body in the row
//     or, above 64 KiB, in the object store.
//   - Nothing looks inside a body, writes a row, an object or a log line about it
//     before its signature has been verified over the exact bytes. What is refused
//     leaves nothing behind but counters.
//   - Accepting goes before starting: what Temporal cannot take at the moment waits
//     in the inbox, and every row there is started by the ingress that accepted it
//     or by any other one's sweep. A row may be started twice; it runs once.
//   - Memory, temporary files, requests and starts in flight are bounded by
//     constants; what is above a bound is answered 503 with Retry-After.
//   - Codes become HTTP statuses in respond.go and the source's answer table, and
//     nowhere else.
package ingress
