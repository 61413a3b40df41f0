// Package edit applies the edits of operators to an email: Validate checks an edit,
// Step returns the earliest step that it affects, Merge combines several edits, and
// Manifest and Message return the email after them.
//
// Invariants: an edit is an overlay and never changes what is stored, so that the
// original can always be shown next to it; every function is pure; no text of Validate
// repeats a value of the edit; applied values are valid UTF-8 without NUL, as package
// mail requires. The package imports no parser of mail and no driver, so that the steps
// can use it; the parts of an edit that concern the decoding of a raw body (charset,
// fields) are applied by package decode.
//
// Read next: edit.go (Step, Merge), then preview, which shows the effect of an edit.
package edit
