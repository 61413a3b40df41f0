// Package blob is the client of the S3-compatible object store. Raw bodies, raw mail,
// parsed messages and attachments are kept there, because they are too large for the
// database. Keys are formed in package contract.
//
// Invariants:
//
//   - An object is immutable: its key is derived from its content or generated once,
//     and a repeated Put writes the same bytes. The cache relies on it.
//   - Sizes are known before a Put. Beyond what the caller already holds, a call has
//     at most one part of an object in memory.
//   - Mailroom checks integrity itself: readers compare the SHA-256 in the ledger.
//     Features that only some stores have (trailing checksums, chunked signatures)
//     are not used.
//   - Every call ends: it has its own deadline if the caller sets none.
//   - An error that time may cure is storage_unavailable; an object that is gone or
//     altered is content_lost. Errors may contain keys, but never content or file
//     names.
//
// Read next: blobtest.Run, the behaviour that this store and the fake in memory share.
package blob
