// Package accept makes verified events durable.
//
//	Accepter.Accept ──► group commit ──► rows of the ledger and of its inbox ──► dispatcher
//	                       │ the database is unavailable
//	                       └──► FallbackStarter ──► the email's workflow, with its sealed body
//
// A row has a body of up to 64 KiB; the Uploader puts larger ones into the object
// store before, and they go into the row after all while that store is unavailable.
//
// Invariants:
//   - Accept returns without an error only when one commit, or Temporal's
//     acknowledgement, holds the whole event.
//   - On an error the event may have been stored all the same; a repeat finds out, since
//     source, event id and body hash identify it.
//   - Requests that wait at the same moment share one commit. A row that the database
//     refuses for what it holds is tried alone and harms no other.
//   - No request waits for a dependency that is known to be unavailable.
//
// To follow one email, read accepter.go, then fallback.go; next ingress/dispatch.
package accept
