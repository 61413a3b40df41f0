// Package clamav is the client of clamd. It uses the commands INSTREAM, PING and
// VERSION of clamd(8) in their z form, in which commands and answers end with a NUL.
// Client makes the calls; Guard refuses to use a clamd that cannot be trusted.
//
// Invariants: a verdict is clean only if clamd has read everything and answered OK. An
// unknown answer, an error, a timeout or a dropped connection means that nothing was
// scanned (fault.ScannerUnavailable). Content that clamd skips for its size, depth or
// encryption is unscannable; clamd reports that only with AlertExceedsMax and
// AlertEncrypted in its configuration. For formats that it cannot open (rar without
// unrar, zstd, lzip and others) clamd answers OK: package inspection holds those, and
// passes on the parts of messages that clamd may not recognise as messages.
//
// Read next: package scantest, the suite that every scanner passes.
package clamav
