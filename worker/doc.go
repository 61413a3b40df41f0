// Package worker is the worker role: it opens the dependencies of the steps, registers
// the workflows and the activities, and polls Temporal until it is stopped.
//
// Invariants: a worker holds no state that another could not rebuild, so any number may
// run and any of them may be killed; it does not start while a migration is pending; at
// a stop it finishes the activities that run within stopTimeout and closes its
// dependencies in the reverse order of their opening.
//
// To follow one email, read activities.go (which activity uses what), then package
// workflows (in which order) and package activities (what each does).
package worker
