// Package dispatch is the outbox relay: it starts the workflow of every accepted row,
// once the row is committed.
//
//	accept ── Reserve ─► commit ── Submit ─────────► fresh lane ─┐
//	             │ no place: the row is left to a sweep          ├─► slot ─► start at Temporal ─► mark
//	inbox ◄──────┘                                               │    ▲             │
//	  └── sweep: ClaimWaiting, oldest first ───────► old lane ───┘    │             │ failed
//	  ▲                                                               │             ▼
//	  └──────────────────── released claims ◄─────────────────────────┴─────────────┘
//
// A lease. A claimed row belongs to one process for Lease; the claim is a time in the
// row and ends by itself. A process claims no more rows than it can start in half of
// that, at the pace of the moment, so that a row whose process died is started by another
// one within Lease and one sweep, less than five seconds.
//
// Which process starts a row, and when. The process that accepted it, right after the commit,
// if Reserve had a place for it before: the row is committed with the claim already in
// it. All other rows wait in the inbox until a sweep of any process claims them: rows
// that were accepted while Temporal was unavailable, in a burst, or by a process that
// died. Old rows go first, but every fourth start is one of new mail.
//
// How the pace is found. Four things bound it, and the tightest one wins. The first three
// are the pacer's:
//   - Temporal's latency: one start more in flight after each round of good ones, fewer
//     when they become slow, half when they fail (additive increase, multiplicative
//     decrease);
//   - the workers: no more emails are started than they will soon store, because a
//     backlog in Temporal costs more than one in the inbox;
//   - accepting (Yield): while requests come faster than commits, starts are one at a time;
//   - the breaker: while Temporal is unavailable one start at a time tries.
//
// From the same numbers follow how many rows are worth a claim or a reservation.
//
// Invariants:
//   - A row is in a lane under a claim, in flight, or in the inbox for any process.
//     Losing a claim, or the process, only moves it to the third.
//   - A row may be started twice; its workflow ID makes it run once. "Already started"
//     counts as started only if the workflow is this row's.
//   - A mark that is late or lost costs one more start that finds its workflow running.
//   - A row that Temporal refuses for what it says is shown to people and does not keep
//     other rows from being started.
//
// To follow one email, read dispatcher.go, then start.go; next workflows/inbound_email.go.
package dispatch
