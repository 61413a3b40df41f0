//go:build !mutants

package mutant

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Is reports whether the process has that defect.
func Is(Name) bool { return false }

// Key gives the id under which an event is recorded.
func Key(id string) string { return id }

// Clock gives the time by which the age of a request is judged.
func Clock(_ http.Header, now time.Time) time.Time { return now }

// Late reports whether a request is taken for a repeat because of its age.
func Late(http.Header) bool { return false }

// Fresh gives the id under which a start is tried.
func Fresh(id string) string { return id }

// Verifier is what is fed with a body and then asked.
type Verifier interface {
	io.Writer
	Verify() (keyNumber int, err error)
}

// Feed gives the verifier that is fed with a body.
func Feed(v Verifier) Verifier { return v }

// Do does f where the process has that defect.
func Do(Name, func()) {}

// Log writes what must not be written.
func Log(*slog.Logger, http.Header, []byte) {}
