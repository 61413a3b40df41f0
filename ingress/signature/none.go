package signature

import (
	"net/http"
	"time"
)

// NoneName is the name of the scheme in the configuration.
const NoneName = "none"

// None is the scheme of a source that anybody may post to. It has no headers and no
// key; what passes passes with key number 0.
type None struct{}

var _ Scheme = None{}

// Name gives NoneName.
func (None) Name() string { return NoneName }

// Present is false: there is nothing to carry.
func (None) Present(http.Header) bool { return false }

// Begin refuses nothing.
func (None) Begin(http.Header, time.Time) (Verifier, error) { return decided(0), nil }

// decided is the Verifier of schemes that the headers decide: the number of the
// key that they were good for.
type decided int

func (d decided) Write(p []byte) (int, error) { return len(p), nil }

func (d decided) Verify() (int, error) { return int(d), nil }
