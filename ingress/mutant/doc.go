// Package mutant builds known defects into the ingress, each one line at its
// place, so that the tests can show that they notice it.
//
// Invariants: in a program that is built without the tag mutants there is no
// defect: Is is constantly false and the other functions give back what they got;
// with it, MAILROOM_MUTANT names the one defect that this process has.
package mutant

// Variable names the defect.
const Variable = "MAILROOM_MUTANT"

// Name is one defect.
type Name string

// The defects.
const (
	NoRecord           Name = "no-record"             // nothing remembers which ids were accepted
	CheckThenInsert    Name = "check-then-insert"     // looked up first, inserted later
	MarkedFirst        Name = "marked-first"          // marked started before it was
	AnsweredFirst      Name = "answered-first"        // answered 2xx before anything is durable
	VerifiedSerialised Name = "verified-reserialised" // verified over JSON that was written anew
	StaleAccepted      Name = "stale-accepted"        // the timestamp's age is not looked at
	InvalidAccepted    Name = "invalid-accepted"      // the result of the signature check is not looked at
	StartedFirst       Name = "started-first"         // started before it is known whether it is a repeat
	OrderAssumed       Name = "order-assumed"         // what was signed earlier than the last is taken for a repeat
	ContentLogged      Name = "content-logged"        // the body stands in the log
	HeadersLogged      Name = "headers-logged"        // the headers of the request stand in the log
	SentTwice          Name = "sent-twice"            // a start whose answer is lost is repeated under another id
)
