// Package stack runs what Mailroom needs on one machine: PostgreSQL, the Temporal
// development server and its Web UI, MinIO, clamd, the programs ingress and worker, and the
// sample destination. The local stack (`make up`), the services of `make test`
// and the environments of the end-to-end tests are all a Stack, with other ports,
// folders and lists of services.
//
// Invariants: everything listens on loopback only; every started service is
// written to the state file together with the time it was started, and nothing is
// ever signalled whose start time differs, so that a reused process id is never
// hit; a call that fails stops what that call started; a service is ready when it
// is usable, not when its port is open.
package stack
