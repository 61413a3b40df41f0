package signature

import (
	"errors"
	"net/http"
	"time"
)

// BearerName is the name of the scheme in the configuration.
const BearerName = "bearer"

const bearerWord = "Bearer"

// Bearer is a token in the Authorization header (RFC 6750 section 2.1). The text of a key
// is the token. The body is not signed: a party that can read one request can forge
// others.
type Bearer struct{ keys []Key }

var _ Scheme = (*Bearer)(nil)

// NewBearer returns the scheme for the keys of one source. It returns an error without
// keys, and for a key with characters other than visible ASCII.
func NewBearer(keys []Key) (*Bearer, error) {
	if err := checkKeys(BearerName, keys, isToken); err != nil {
		return nil, err
	}
	return &Bearer{keys: append([]Key(nil), keys...)}, nil
}

// Name returns BearerName.
func (s *Bearer) Name() string { return BearerName }

// Present reports whether an Authorization line begins with Bearer.
func (s *Bearer) Present(h http.Header) bool { return hasWord(h, bearerWord) }

// Begin checks the credentials. Its Verifier accepts any body.
func (s *Bearer) Begin(h http.Header, now time.Time) (Verifier, error) {
	token, err := credentials(h, bearerWord)
	if err != nil {
		return nil, err
	}
	return compare(s.keys, now, isToken, token)
}

// isToken returns an error unless text can be a key of Bearer.
func isToken(text string) error {
	for i := range len(text) {
		if text[i] < '!' || text[i] > '~' {
			return errors.New("must be visible ASCII without spaces to be a bearer token")
		}
	}
	return isPlainText(text)
}
