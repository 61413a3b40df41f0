// Package signature verifies that a webhook comes from whom it says, over the
// exact bytes of its body and before anything looks inside.
//
// Invariants: a scheme reads its own headers and no other's; the body is fed to
// the verifier while it is read and never kept; every key that has not expired is
// tried, in constant time, whatever the others say; what a scheme does not know
// (another version, another algorithm) counts for nothing; no configured key means
// that nothing passes. The text of a secret may be renewed at any time: it is read
// once per request, nothing that is made of it outlives the request, and one that
// is empty or unreadable by then matches nothing.
package signature

import (
	"io"
	"net/http"
	"time"

	"mailroom/shared/fault"
)

// Scheme is one way to sign a webhook. A Scheme may be used by many requests at once.
type Scheme interface {
	// Name is the scheme's name in the configuration and in metrics.
	Name() string
	// Present reports whether h carries any header of this scheme.
	Present(h http.Header) bool
	// Begin reads the headers. What can be refused without the body is refused
	// here, with a fault that answers 401.
	Begin(h http.Header, now time.Time) (Verifier, error)
}

// Verifier is fed the raw body, from the first byte to the last. Write never fails.
type Verifier interface {
	io.Writer
	// Verify says which key matches, or why none does. It is called once, after
	// the last byte.
	Verify() (keyNumber int, err error)
}

// Select picks the scheme that a request uses: the one whose headers it carries.
// A request that carries the headers of none is measured by the first; one that
// carries those of several is refused, so that nobody can choose the weaker.
// Headers of a scheme that is not among schemes are not looked at.
func Select(schemes []Scheme, h http.Header) (Scheme, error) {
	var found Scheme
	for _, s := range schemes {
		if !s.Present(h) {
			continue
		}
		if found != nil {
			return nil, fault.New(fault.SignatureInvalid, "the request carries the headers of more than one signature scheme")
		}
		found = s
	}
	if found == nil && len(schemes) > 0 {
		found = schemes[0]
	}
	if found == nil {
		return nil, fault.New(fault.SignatureInvalid, "no signature scheme is configured for this path")
	}
	return found, nil
}
