// Package gotest prints what go test -json reports as text: one line for each package
// as it ends, everything that a failed test wrote, and at the end the slowest tests.
//
// Invariants: the output of a failed test is printed whole, as go test prints it without
// -json; a line that is no event, such as an error of the go command itself, is printed
// as it is.
package gotest
