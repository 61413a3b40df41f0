// Package guard is what stands between the open internet and the door: whose
// address a request comes from, who may come in and how often, certificates, and
// how much of the process strangers can hold.
//
// Invariants: nothing that an untrusted peer writes into a header changes whose
// address counts; what is not known to have misbehaved is not throttled, so that a
// full table forgets and never refuses; an address from which authentic requests
// come is not locked out by others that share it; strangers together never hold what
// is reserved for known addresses; every table, counter and connection is bounded; a
// certificate that cannot be loaded never replaces one that works.
package guard
