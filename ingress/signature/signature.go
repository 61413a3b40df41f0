// Package signature verifies that a webhook was sent by a holder of one of the source's
// secrets, over the exact bytes of the body and before the body is parsed.
//
// Invariants:
//
//   - A scheme reads its own headers and no others.
//   - The body is written to the Verifier while it is read, and never stored.
//   - Every key that has not expired is tried, in constant time, whatever the result of
//     the others.
//   - A signature of an unknown version or algorithm never matches.
//   - Without a configured key nothing matches.
//   - A secret may be renewed at any time: its text is read once per request, nothing
//     derived from it outlives the request, and a text that has become empty or malformed
//     matches nothing.
//
// Select chooses the scheme of a request; each scheme has a file of its own. To follow a
// request, read ingress/webhook/handler.go; to see how schemes are configured, read
// ingress/source.
package signature

import (
	"io"
	"net/http"
	"time"

	"mailroom/shared/fault"
)

// Scheme is one way to sign a webhook. It is safe for concurrent use.
type Scheme interface {
	// Name returns the scheme's name in the configuration and in metrics.
	Name() string
	// Present reports whether h has any header of this scheme.
	Present(h http.Header) bool
	// Begin checks the headers at the time now. It returns a fault that is answered
	// with 401 if they are enough to refuse the request, else a Verifier for the body.
	Begin(h http.Header, now time.Time) (Verifier, error)
}

// Verifier verifies the signature of one request. The raw body is written to it, from
// the first byte to the last; Write never fails.
type Verifier interface {
	io.Writer
	// Verify returns the number of the key that matches, or a fault if none does. It is
	// called once, after the last Write.
	Verify() (keyNumber int, err error)
}

// Select returns the scheme whose headers the request has, or the first scheme if it has
// the headers of none. A request with the headers of several is refused with a fault of
// code signature_invalid, so that a sender cannot choose the weaker scheme. Headers of
// schemes that are not listed are ignored.
func Select(schemes []Scheme, h http.Header) (Scheme, error) {
	var found Scheme
	for _, s := range schemes {
		if !s.Present(h) {
			continue
		}
		if found != nil {
			return nil, fault.New(fault.SignatureInvalid, "the request has the headers of more than one signature scheme; send those of one")
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
