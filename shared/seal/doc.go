// Package seal compresses content for storage in Temporal, and encrypts it if a key is
// configured: the body of a fallback start, and all payloads of the codec.
//
// Invariants: the first key encrypts, every key decrypts; content that was altered,
// sealed for another purpose or under another key does not open; opening never produces
// more bytes than the caller allows; no error contains a key or content.
//
// Read next: shared/temporal/codec.go, which encrypts every payload.
package seal
