// Package telemetry makes a program observable: JSON log lines, Prometheus metrics, the
// server for them, and which build it is.
//
// Invariants: no log line holds the value of a field that is named like a secret or like
// mail content; label sets are fixed, so that no sender can create series; there is no
// global state, each program makes its own logger and registry.
package telemetry
