// Package authlog keeps account of verifications: the failed ones with address and
// cause, in batches, in the database; and when each secret was last of use.
//
// Invariants: a request costs the audit one entry of a map at most and never waits
// for the database; nothing of a request is kept but its client's address; what is
// held in memory is bounded, whatever is sent and however long the database is
// away, and beyond the bound failures are still counted, without their address;
// every failure is counted once, and again only where the database did not say
// whether it had it. Source, scheme and code must come from the configuration and
// fixed lists, never from a request, because they are not bounded here.
package authlog
