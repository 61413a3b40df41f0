// Package edit lays the edits of people over an email: what an edit may say,
// which step it touches first, how several become one, and what the email is then.
//
// Invariants: an edit changes what is read and never what is stored, so that the
// original can always be seen beside it; every function is pure; no sentence of
// Validate repeats a value that was sent; what is applied is valid UTF-8 without
// NUL, the invariant of package mail. The package links no parser of mail and no
// driver, so that the steps can use it: what concerns the decoding of a raw body
// (charset, fields) is handed on to shared/decode.
package edit
