package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"mailroom/shared/config"
	"mailroom/shared/contract"
)

// role is what a token may do. Each role may do what the ones below it may.
type role int

const (
	nobody role = iota
	viewer
	operator
	admin
)

// roles maps the names of the configuration; the zero role is none of them.
func roles(name string) role {
	switch name {
	case "viewer":
		return viewer
	case "operator":
		return operator
	case "admin":
		return admin
	}
	return nobody
}

// identity is who a token belongs to.
type identity struct {
	name string
	role role
}

// token is a configured token. Its text may be renewed while the program runs.
type token struct {
	identity
	secret  config.Secret
	expires time.Time // zero: never
}

// tokens is every configured token.
type tokens []token

// newTokens checks the configured operators and their tokens of now. Every
// mistake is named, all at once, and never with the token itself.
func newTokens(operators []config.Operator) (tokens, error) {
	var (
		out      tokens
		mistakes []error
		names    = map[string]bool{}
		sums     = map[[sha256.Size]byte]string{}
	)
	for i, o := range operators {
		bad := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Errorf("operators[%d]: "+format, append([]any{i}, args...)...))
		}
		text := o.Token.Key.Reveal()
		sum := sha256.Sum256([]byte(text))
		switch {
		case o.Name == "" || len(o.Name) > contract.MaxActor || !plain(o.Name):
			bad("name must be 1 to %d bytes of printable text", contract.MaxActor)
		case names[o.Name]:
			bad("name %s is there twice", o.Name)
		case roles(o.Role) == nobody:
			bad("role of %s must be viewer, operator or admin", o.Name)
		case text == "":
			bad("token of %s is empty", o.Name)
		case sums[sum] != "":
			bad("token of %s is the same as that of %s", o.Name, sums[sum])
		default:
			names[o.Name], sums[sum] = true, o.Name
			out = append(out, token{identity{o.Name, roles(o.Role)}, o.Token.Key, o.Token.Expires})
		}
	}
	return out, errors.Join(mistakes...)
}

// identify finds whose token an Authorization header carries (RFC 6750 §2.1).
// It compares with every configured token as it is now, whichever matches. A token
// that has become that of two operators is nobody's.
func (ts tokens) identify(header string, now time.Time) (identity, bool) {
	scheme, credentials, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return identity{}, false
	}
	sum := sha256.Sum256([]byte(strings.TrimLeft(credentials, " ")))
	var found identity
	matches := 0
	for _, t := range ts {
		text := t.secret.Reveal()
		want := sha256.Sum256([]byte(text)) // one length, whatever that of the token
		alive := t.expires.IsZero() || now.Before(t.expires)
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && alive && text != "" {
			found = t.identity
			matches++
		}
	}
	if matches != 1 {
		return identity{}, false
	}
	return found, found.role != nobody
}

// plain reports whether s is valid UTF-8 without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f
	})
}
