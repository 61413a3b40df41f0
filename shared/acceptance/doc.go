// Package acceptance turns an authentic event into a row of the ledger: its id, its
// workflow ID and its hold are decided here, and here the row is checked and inserted.
// All ways in share it, so that an event means the same whichever way it came.
//
// Invariants:
//   - Content never makes New refuse an event whose source keeps what it cannot read:
//     such an event is named after its body and held for a person.
//   - No row is inserted, and no workflow gets one as its input, that Check refuses.
//   - Insert is safe to repeat. The same id with the same body is a duplicate; with
//     another body it is a conflict, kept as a row of its own.
//
// To follow one email, read acceptance.go; next ingress/accept.
package acceptance
