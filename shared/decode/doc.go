// Package decode turns a raw body into one mail: it decodes the provider's event
// (package payload) and parses the raw mail in it, if there is one (package mime).
//
// Invariants:
//
//   - The raw mail is more reliable than the provider's fields, so its message and
//     attachments replace the provider's. The envelope, which no mail contains, and the
//     recipients are always the provider's.
//   - If a raw mail exceeds a limit of the parser, the part before the limit is used,
//     and the provider's fields and attachments fill the gaps.
//   - What cannot be read is named in a hold and everything else is kept, so that a
//     person can release the mail without it. No hold quotes the mail.
//
// Read next: package payload, then package mime; activities/store.go calls Decode.
package decode
