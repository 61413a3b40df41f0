// Package mailctl is the command line client of Mailroom: it sends signed webhooks, signs
// and verifies bytes, parses mail, and calls the operator API. There is one file for each
// command.
//
// Invariants: exit codes are 0 done, 1 refused or failed (with one line on
// stderr), 2 usage; secrets and tokens come from the environment or a file, never
// from an argument that a process list shows, and are never printed; the secrets of
// development are used for loopback hosts alone; text output shows no control
// character of any mail, so that a subject cannot control a terminal; -o json prints
// one JSON value per line for programs.
package mailctl
