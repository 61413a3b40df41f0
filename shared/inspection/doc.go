// Package inspection looks at attachments: what they are against what they claim
// to be, the allow-list, sizes, and archives down to their last layer. It also
// holds the built-in scanner, which serves development where no clamd is.
//
// Unpacked here are zip, tar, gzip and bzip2, a zip behind anything else (it is
// read from its end), and the parts of attached messages. 7z, xz and cab are left
// to clamd, which opens them; the built-in scanner calls them unscannable. What
// neither opens is held as unscannable whichever scanner there is: rar (clamd of
// Debian has no unrar), zstd, lzip, lzma, compress and xar.
//
// Invariants: unpacking is bounded in bytes, files, layers, ratio and memory
// (Limits), over all attachments of a mail, and what a bound cuts off is unscannable, never clean; what an
// archive holds is never written anywhere; no sentence of this package quotes a
// file name or anything else of the mail.
package inspection
