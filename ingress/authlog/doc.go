// Package authlog records verifications: the failed ones, with the client's address and
// the cause, are written to the database in batches; for each secret, when it last
// verified a request is held in memory.
//
// Invariants:
//
//   - A request costs at most one map entry and never waits for the database.
//   - Of a request only its client's address is stored.
//   - Memory is bounded, whatever is sent and however long the database is unavailable.
//     Beyond the bound, failures are counted without their address.
//   - Every failure is counted once. It is counted again only if the database did not
//     report whether a write succeeded.
//
// Source, scheme and code must come from the configuration and from fixed lists, never
// from a request, because they are not bounded here.
//
// Recorder.Add and Run are in recorder.go and write.go, KeyUse in keyuse.go. The rows are
// stored by shared/postgres and shown by ingress/operator/api.
package authlog
