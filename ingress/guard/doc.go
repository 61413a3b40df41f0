// Package guard protects the public listener from untrusted clients: it finds the
// address that a request comes from, decides what may be sent and how often, serves
// certificates, and bounds how much of the process strangers can hold.
//
// Invariants:
//
//   - No header that an untrusted peer writes changes which address counts.
//   - An address that is not known to have misbehaved is not throttled: a full table
//     forgets entries, it never refuses requests.
//   - An address from which authentic requests come is not locked out by other senders
//     that share it.
//   - Strangers together never hold what is reserved for known addresses.
//   - Every table, counter and connection is bounded.
//   - A certificate that cannot be loaded never replaces one that works.
//
// A connection passes LimitedListener, a request passes Plain, Throttle, Gate.Enter and
// Crowd.Enter before its body is read, and Gate.Spend once it is authentic. To follow a
// request through them, read ingress/webhook/handler.go; to see how places are divided,
// read crowd.go and pool.go.
package guard
