// Package blob keeps what is too large or too permanent for the database in an
// S3-compatible object store: raw bodies, raw mail, parsed messages, attachments.
//
// Invariants:
//
//   - An object is immutable: its key is made of its content or generated once,
//     and a repeat of a Put writes the same bytes. Only therefore may objects be
//     cached.
//   - Sizes are known before a Put, and no call holds more than one part of an
//     object in memory that the caller does not hold already.
//   - Integrity is ours: readers check the SHA-256 that the ledger holds. What
//     only some stores speak (trailing checksums, chunked signatures) is not used.
//   - Every call ends: without a deadline of the caller's, after one of its own.
//   - An error of the store that time may cure carries storage_unavailable, an
//     object that is gone or altered content_lost; keys may appear in errors,
//     content and file names never.
package blob
