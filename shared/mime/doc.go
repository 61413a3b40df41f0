// Package mime parses a raw mail (RFC 5322, RFC 2045 to 2049, RFC 2231) into a
// mail.Message and its attachments.
//
// Invariants: for any bytes, Parse returns in time linear in their number, at most
// MaxDepth times that, with memory of a few times the mail; it never panics; its result
// is valid UTF-8 without NUL. If a mail exceeds the limits, Parse returns the part
// before the limit and sets Parsed.Malformed.
//
// Senders break the rules, and programs repair mails in different ways, which attackers
// use to hide attachments from scanners. So Parse makes only repairs that mail programs
// make (RFC 7103 names most). Where programs make different ones, it extracts the
// attachments of each reading, and the message has a defect (defect.go). A budget in
// bytes limits further readings.
//
// Character sets are converted by golang.org/x/text and detected by gogs/chardet.
//
// To follow one mail, read parse.go (the order), tree.go (parts), header.go
// (fields), boundary.go (delimiters), encoding.go (transfer encodings), collect.go
// (bodies, attachments), name.go, words.go, textreader.go and charset.go (text).
package mime
