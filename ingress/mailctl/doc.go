// Package mailctl is the command line of Mailroom: it sends signed webhooks, signs
// and verifies bytes, shows what the mail parser makes of a file, asks the operator
// API, and applies migrations.
//
// Invariants: exit codes are 0 done, 1 refused or failed (with one line on
// stderr), 2 usage; secrets and tokens come from the environment or a file, never
// from an argument that a process list shows, and are never printed; the secrets of
// development are used for loopback hosts alone; text output shows no control
// character of any mail, so that a subject cannot steer a terminal; -o json gives
// one JSON value per line for programs.
package mailctl
