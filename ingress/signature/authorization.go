package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/fault"
)

const authorizationHeader = "Authorization"

// hasWord reports whether any Authorization line of h begins with the word of an
// authentication scheme, in any case (RFC 9110 section 11.1).
func hasWord(h http.Header, word string) bool {
	for _, line := range h[authorizationHeader] {
		if first, _, _ := strings.Cut(line, " "); strings.EqualFold(first, word) {
			return true
		}
	}
	return false
}

// credentials returns the text after the scheme's word, or a fault of code
// credentials_missing or credentials_invalid. A second Authorization line of any scheme
// is refused: another reader of the request might use the other line.
func credentials(h http.Header, word string) (string, error) {
	if !hasWord(h, word) {
		return "", fault.Newf(fault.CredentialsMissing, "the header Authorization with %s credentials is missing", word)
	}

	lines := h[authorizationHeader]
	if len(lines) > 1 {
		return "", fault.New(fault.CredentialsInvalid, "the header Authorization must appear exactly once")
	}
	_, rest, _ := strings.Cut(lines[0], " ")
	return strings.Trim(rest, " "), nil
}

// compare compares presented with every key that is live at now, and returns a Verifier
// for the first that matches or a fault of code credentials_invalid. It compares hashes,
// so its duration reveals neither length nor prefix of a secret, nor which key matches.
func compare(keys []Key, now time.Time, readable func(text string) error, presented string) (Verifier, error) {
	number := 0
	got := sha256.Sum256([]byte(presented))
	for _, k := range live(keys, now, readable) {
		want := sha256.Sum256([]byte(k.text))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 && number == 0 {
			number = k.number
		}
	}
	if number == 0 {
		return nil, wrongCredentials()
	}
	return decided(number), nil
}

// wrongCredentials returns the fault for credentials that match no key.
func wrongCredentials() error {
	return fault.New(fault.CredentialsInvalid, "the credentials match no secret of this source; check the configured secret")
}
