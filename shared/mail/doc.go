// Package mail has the types of the domain: the event that a provider posts, the
// message in it, its attachments and their verdicts.
//
// Invariants: the package imports only the standard library; its types are data,
// without behaviour that needs a clock, a network or a disk; every string in them is
// valid UTF-8 without NUL (the decoders ensure that).
//
// Read next: package decode fills an Event, package rules routes it.
package mail
