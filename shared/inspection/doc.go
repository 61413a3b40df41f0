// Package inspection examines attachments: the detected type against the declared one,
// the list of allowed types, sizes, and archives down to their last layer. It also has
// the built-in scanner, for development without clamd.
//
// It unpacks zip, tar, gzip and bzip2, a zip after any other content (a zip is read
// from its end), and the parts of attached messages. clamd opens 7z, xz and cab; the
// built-in scanner reports them as unscannable. Formats that neither opens are held as
// unscannable with any scanner: rar (Debian's clamd has no unrar), zstd, lzip, lzma,
// compress and xar.
//
// Invariants: unpacking is bounded in bytes, files, layers, ratio and memory (Limits)
// over all attachments of a mail; content beyond a bound is unscannable, never clean;
// unpacked content is never written anywhere; no text of this package quotes a file
// name or anything else of the mail.
//
// Read next: examine.go (Begin), then archive.go (walk) and leaf.go. activities/inspect.go
// is the step that calls them.
package inspection
