// Package process starts, watches and ends programs of the local stack, and says on the
// console what it waits for.
//
// Invariants: a started service is written to the state file together with the time of its
// start, and no process is signalled whose start time differs, so that a reused process id
// is never hit; a service runs in its own session, and ending it ends its children; a
// service is ready when it is usable, not when its port is open.
//
// Read Supervisor.Ensure first. A supervisor outlives nothing: the state file is what a
// later call finds running services by.
package process
