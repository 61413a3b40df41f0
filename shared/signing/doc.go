// Package signing computes the signatures of HTTP requests: those that providers send
// to Mailroom and those that Mailroom sends to destinations.
//
// Invariants: signatures are over bytes, never over text that was decoded or serialised
// again; the package imports only the standard library and verifies nothing. A verifier
// compares signatures in constant time.
//
// Read next: ingress/signature verifies, activities/downstream/headers.go signs.
package signing
