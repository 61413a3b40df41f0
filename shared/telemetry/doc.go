// Package telemetry is how a program is seen from outside: JSON log lines,
// Prometheus metrics and the server that shows them.
//
// Invariants: no value of a field named for a secret or for mail content reaches
// a log line, whoever logs it; label sets are fixed, so that no sender can make
// series; nothing here is global, each program builds its own logger and registry.
package telemetry
