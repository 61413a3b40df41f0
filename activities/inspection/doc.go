// Package inspection looks at attachments: what they are against what they claim
// to be, the allow-list, sizes, and archives down to their last layer. It also
// holds the built-in scanner, which serves development where no clamd is.
//
// Invariants: unpacking is bounded in bytes, files, layers, ratio and memory
// (Limits), and what a bound cuts off is unscannable, never clean; what an
// archive holds is never written anywhere; no sentence of this package quotes a
// file name or anything else of the mail.
package inspection
