// Package scantest is the conformance suite of scanners: shared/clamav and the built-in
// scanner of shared/inspection pass Run. Only tests import it.
package scantest
