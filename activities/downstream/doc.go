// Package downstream makes the calls to the destinations: one signed POST for
// each attempt, through a breaker and a limit of calls in flight that each
// destination has for itself.
//
// Invariants: a call ends by the destination's timeout whatever the destination
// does, reads a bounded answer, follows no redirect, and goes to no address that
// package netguard refuses; what a destination answers is never repeated in an
// error, a log line or a label; a call that was not made is told apart from one
// that failed, because the body is asked for only when a call is about to be made.
package downstream
