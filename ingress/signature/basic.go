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

// Basic is HTTP basic authentication (RFC 7617). The text of a key is user:password, and
// only the password may contain colons. The body is not signed: a party that can read one
// request can forge others.
type Basic struct{ keys []Key }

var _ Scheme = (*Basic)(nil)

// NewBasic returns the scheme for the keys of one source. It returns an error without
// keys, and for a key without a colon or without a password.
func NewBasic(keys []Key) (*Basic, error) {
	if err := checkKeys(BasicName, keys, isUserPassword); err != nil {
		return nil, err
	}
	return &Basic{keys: append([]Key(nil), keys...)}, nil
}

// Name returns BasicName.
func (s *Basic) Name() string { return BasicName }

// Present reports whether an Authorization line begins with Basic.
func (s *Basic) Present(h http.Header) bool { return hasWord(h, basicWord) }

// Begin checks the credentials. Its Verifier accepts any body.
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

// isUserPassword returns an error unless text can be a key of Basic.
func isUserPassword(text string) error {
	if _, password, found := strings.Cut(text, ":"); !found || password == "" {
		return errors.New("must be user:password; say with scheme which scheme a secret serves")
	}
	return isPlainText(text)
}
