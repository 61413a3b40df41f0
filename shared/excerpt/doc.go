// Package excerpt reads the parsed mail that the store step wrote. Reader cuts each
// text while it is read, so that a console page or a test of rules costs no more
// memory for a mail of 100 MiB than for a small one; Whole reads everything.
//
// Invariant: at any time a Reader holds at most a few times Limits.Total in memory.
//
// Read next: activities/store.go writes what is read here.
package excerpt
