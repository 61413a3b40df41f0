// Package mime turns a raw mail (RFC 5322, RFC 2045 to 2049, RFC 2231) into a
// mail.Message and its attachments.
//
// Invariants: whatever the bytes, Parse returns, in time linear in their number
// and at most MaxDepth times it; it never panics; what it returns is valid UTF-8
// without NUL. Mail beyond the limits below is Malformed and not half-parsed.
//
// The tree of parts is cut here, along delimiter lines and in sub-slices of the
// mail, because the depth and part limits must hold for the very structure that is
// read: there is no second reading that an odd boundary could lead astray. The
// transfer encodings, a few lines each, are undone here as well. enmime, which takes
// exponential time on nested multiparts that are not closed, quadratic time on many
// parts and text bodies, and an allocation for each stray byte of base64, sees one
// text at a time under a header that this package wrote: it converts character sets,
// declared or detected, and parses the parameters of media types.
package mime
