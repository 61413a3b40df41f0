// Package ingress is the ingress role: it receives signed webhooks, makes each event
// durable, answers, and starts one workflow per event behind the answer. A second
// listener is for operators. Run opens the dependencies, wires the parts below and
// closes everything in the reverse order.
//
// To follow one email, read
//
//	webhook/handler.go      request ─► verified body ─► acceptance
//	accept/accepter.go      acceptance ─► row of the ledger, many in one commit ─► 200
//	accept/fallback.go      the same without the database: Temporal holds the event
//	dispatch/dispatcher.go  row ─► workflow of the email (dispatch/doc.go has a diagram)
//	workflows/inbound_email.go
//
// and to follow one decision of an operator, operator/doc.go.
//
// Invariants:
//   - Accepting goes before starting: what Temporal cannot take at the moment waits
//     in the inbox. A row may be started twice; it runs once.
//   - Memory, temporary files, requests and starts in flight are bounded by
//     constants; what is above a bound is answered 503 with Retry-After.
//   - Imports point one way: webhook ─► accept, dispatch ─► shared. No package below
//     knows this one, and the receiving packages know nothing of the operator's.
package ingress
