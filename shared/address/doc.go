// Package address parses mail addresses into one form for comparison. Rules match on
// it, the check of foreign recipients compares domains in it, and destinations receive
// the sub-address (tag) that it splits off.
//
// Invariants: no input is an error; equal domains have equal forms, whatever their
// case, trailing dot and form of labels (RFC 5890); the part after the last @ is the
// domain, because a quoted local part may contain one (RFC 5321 §4.1.2).
//
// Read next: package rules, which matches on the parts of an Address.
package address
