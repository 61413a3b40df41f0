package signature

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
)

// BasicName is the name of the scheme in the configuration.
const BasicName = "basic"

const basicWord = "Basic"

// Basic is HTTP basic authentication (RFC 7617). The text of a key is user:password,
// where only the password may hold a colon. The body is not covered: whoever can
// read one request can make others.
type Basic struct{ keys []Key }

var _ Scheme = (*Basic)(nil)

// NewBasic makes the scheme for the keys of one source. A key without a user's
// colon or without a password is an error.
func NewBasic(keys []Key) (*Basic, error) {
	if err := checkKeys(BasicName, keys, isUserPassword); err != nil {
		return nil, err
	}
	return &Basic{keys: append([]Key(nil), keys...)}, nil
}

// Name gives BasicName.
func (s *Basic) Name() string { return BasicName }

// Present reports whether an Authorization line begins with Basic.
func (s *Basic) Present(h http.Header) bool { return hasWord(h, basicWord) }

// Begin decides: the body has no part in it.
func (s *Basic) Begin(h http.Header, now time.Time) (Verifier, error) {
	encoded, err := credentials(h, basicWord)
	if err != nil {
		return nil, err
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, wrongCredentials()
	}
	return compare(s.keys, now, isUserPassword, string(pair))
}

// isUserPassword is readable for Basic.
func isUserPassword(text string) error {
	if _, password, found := strings.Cut(text, ":"); !found || password == "" {
		return errors.New("must be user:password; say with scheme which scheme a secret serves")
	}
	return isPlainText(text)
}
