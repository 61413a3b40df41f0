// Package stack runs what Mailroom needs on one machine: PostgreSQL, Temporal
// with its Web UI, an object store, clamd, ingress and worker, and the sample
// destination. The local stack (`make up`), the services of `make test` and the
// environments of the end-to-end tests are all a Stack, with different ports, folders and
// lists of services.
//
// Invariants: everything listens on loopback only; a call that fails stops what that call
// started. Package process starts and ends the services.
//
// To follow `make up`, read Stack.Up in up.go, then one of the functions in known, such as
// temporalService in services.go.
package stack
