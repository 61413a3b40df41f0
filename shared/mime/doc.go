// Package mime turns a raw mail (RFC 5322, RFC 2045 to 2049, RFC 2231) into a
// mail.Message and its attachments.
//
// Invariants: whatever the bytes, Parse returns, in time linear in their number
// and at most MaxDepth times it, with memory of a few times the mail; it never
// panics; what it returns is valid UTF-8 without NUL. Of mail beyond the limits,
// what stands before the limit is returned with Parsed.Malformed.
//
// Senders break the rules, and programs repair it in different ways, which is used
// to hide attachments from scanners. So every repair is one that mail programs make
// (RFC 7103 names most), and where they make different ones, the attachments of
// each are extracted and the message carries a defect (defect.go). A reading is made
// again at most as often as a budget in bytes allows.
//
// To follow one mail, read parse.go (the order), tree.go (parts), header.go
// (fields), boundary.go (delimiters), encoding.go (transfer encodings), collect.go
// (bodies, attachments, names), words.go and charset.go (text).
package mime
