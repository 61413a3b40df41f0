// Package secret holds values that never print themselves, and finds and renews
// them where references point: the environment, files, Vault, AWS Secrets Manager.
//
// Invariants:
//   - Only Reveal returns the text of a Secret.
//   - A copy of a Secret reveals the same text as the original, also after Set, so that a
//     renewed secret reaches every holder.
//   - A secret that existed once never becomes empty, whatever happens at its source. For
//     checking what callers present it stops to count when its store has answered for the
//     grace period that it does not exist, never because the store did not answer.
//   - No error, log line or metric holds a text, or more of a server's answer than its
//     status.
package secret

import (
	"fmt"
	"io"
	"sync/atomic"
)

// Secret is a value that never prints itself, not even as an unexported field of a
// printed struct: hence the pointer. Call Reveal for each use, because the text may be
// renewed. The zero value is the empty secret and stays so; compare secrets by what they
// reveal, not with ==.
type Secret struct{ text *atomic.Pointer[string] }

// New wraps text.
func New(text string) Secret {
	s := Secret{text: new(atomic.Pointer[string])}
	s.text.Store(&text)
	return s
}

// Reveal returns the current text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text.Load()
}

// Set replaces the text of s and of all its copies. It does nothing to the zero value.
func (s Secret) Set(text string) {
	if s.text != nil {
		s.text.Store(&text)
	}
}

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// String returns "[redacted]", whatever the secret.
func (Secret) String() string { return "[redacted]" }

// GoString returns "[redacted]", whatever the secret.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText returns "[redacted]", so that JSON, YAML and slog show nothing.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
