// Package netguard protects internal addresses against requests that Mailroom sends to
// configured or foreign URLs: loopback, private networks, link-local addresses and the
// metadata services of clouds.
//
// Invariants: the check is on the address that is dialled, after each lookup, so a name
// that resolves differently the second time (DNS rebinding) is checked too; an address
// that is not known to be public unicast is refused; IPv4 inside IPv6 is checked as
// IPv4.
//
// Read next: activities/downstream/destination.go dials with it.
package netguard
