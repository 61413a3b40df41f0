// Package blobtest has the conformance suite that every object store must pass, and a
// store in memory that passes it, for tests of code that uses a store.
//
// Invariants: Memory and the real store pass the same Run. Only tests import
// this package.
package blobtest
