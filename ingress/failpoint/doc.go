// Package failpoint ends the ingress at an exact place, as a crash would, so that
// tests can see what a crash there leaves behind.
//
// Invariants: in a program that is built without the tag failpoints, Hit is empty
// and the environment is not read; with it, the process is killed where
// MAILROOM_FAILPOINT says, by a signal that cannot be caught, and nothing that it
// would have done afterwards is done.
package failpoint

// Variable names the place; "after-store:3" is the third time that it is reached.
const Variable = "MAILROOM_FAILPOINT"

// Name is one place.
type Name string

// The places, in the order in which an email passes them.
const (
	BeforeStore Name = "before-store" // verified, and nothing durable yet
	AfterStore  Name = "after-store"  // committed, neither answered nor started
	AfterStart  Name = "after-start"  // Temporal has it, and the inbox does not know yet
)
