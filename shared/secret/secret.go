// Package secret holds values that never print themselves, and finds and renews
// them where references point: the environment, files, Vault, AWS Secrets Manager.
//
// Invariants: a Secret shows its text through Reveal alone; a copy of a Secret
// shows what the original shows, also after Set, so that a renewed secret reaches
// everybody who holds it; a secret that was there once never becomes empty or
// absent, whatever happens to the place that it came from, but for checking what
// others present: there it counts no more when its store has said for the grace
// period that it does not exist, and never because the store did not answer; no
// error, log line or metric holds a text, or anything that a server said beyond its
// status.
package secret

import (
	"fmt"
	"io"
	"sync/atomic"
)

// Secret is a value that never prints itself, not even as an unexported field of
// something printed: hence the pointer. Reveal is the only way to the text, and
// must be asked each time, because the text may be renewed. The zero value is the
// empty secret for ever; two secrets are compared by what they reveal, not with ==.
type Secret struct{ text *atomic.Pointer[string] }

// New wraps text.
func New(text string) Secret {
	s := Secret{text: new(atomic.Pointer[string])}
	s.text.Store(&text)
	return s
}

// Reveal gives the text as it is now.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text.Load()
}

// Set renews the text for everybody who holds s. It does nothing to the zero value.
func (s Secret) Set(text string) {
	if s.text != nil {
		s.text.Store(&text)
	}
}

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// String gives "[redacted]", whatever the secret.
func (Secret) String() string { return "[redacted]" }

// GoString gives "[redacted]", whatever the secret.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText gives "[redacted]", so that JSON, YAML and slog show nothing.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
