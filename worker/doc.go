// Package worker is the program that does the steps: it opens what they need,
// registers the workflow and the activities, and polls Temporal until it is told
// to stop.
//
// Invariants: a worker keeps nothing that another could not rebuild, so any
// number may run and any of them may be killed; it does not start while a
// migration is pending; at a stop it finishes what it has begun within
// stopTimeout and closes its dependencies in the reverse order of their opening.
package worker
