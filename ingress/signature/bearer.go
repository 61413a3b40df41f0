package signature

import (
	"errors"
	"net/http"
	"time"
)

// BearerName is the name of the scheme in the configuration.
const BearerName = "bearer"

const bearerWord = "Bearer"

// Bearer is a token in the Authorization header (RFC 6750 §2.1). The text of a key
// is the token. The body is not covered: whoever can read one request can make others.
type Bearer struct{ keys []Key }

var _ Scheme = (*Bearer)(nil)

// NewBearer makes the scheme for the keys of one source. A key that cannot stand
// in a header is an error.
func NewBearer(keys []Key) (*Bearer, error) {
	if err := checkKeys(BearerName, keys, isToken); err != nil {
		return nil, err
	}
	return &Bearer{keys: append([]Key(nil), keys...)}, nil
}

// Name gives BearerName.
func (s *Bearer) Name() string { return BearerName }

// Present reports whether an Authorization line begins with Bearer.
func (s *Bearer) Present(h http.Header) bool { return hasWord(h, bearerWord) }

// Begin decides: the body has no part in it.
func (s *Bearer) Begin(h http.Header, now time.Time) (Verifier, error) {
	token, err := credentials(h, bearerWord)
	if err != nil {
		return nil, err
	}
	return compare(s.keys, now, isToken, token)
}

// isToken is readable for Bearer.
func isToken(text string) error {
	for i := range len(text) {
		if text[i] < '!' || text[i] > '~' {
			return errors.New("must be visible ASCII without spaces to be a bearer token")
		}
	}
	return isPlainText(text)
}
