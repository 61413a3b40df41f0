package access

import (
	"cmp"
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

// configured is an operator of the configuration and its token, whose text may be renewed
// while the program runs.
type configured struct {
	identity Identity
	secret   config.Secret
	expires  time.Time // zero: never
}

// newConfigured checks the configured operators and the current texts of their tokens. Its
// error names every mistake and contains no token.
func newConfigured(operators []config.Operator) ([]configured, error) {
	var (
		out      []configured
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
		roles, ok := rolesOf(o)

		switch {
		case o.Name == "" || len(o.Name) > contract.MaxActor || !Plain(o.Name):
			bad("name must be 1 to %d bytes of printable text", contract.MaxActor)
		case contract.ReservedActor(o.Name) || contract.ReservedActor(o.Owner):
			bad("name and owner of %s are reserved for Mailroom itself; choose others", o.Name)
		case len(o.Owner) > contract.MaxActor || !Plain(o.Owner):
			bad("owner of %s must be at most %d bytes of printable text", o.Name, contract.MaxActor)
		case names[o.Name]:
			bad("name %s is used twice", o.Name)
		case !ok:
			bad("role of %s must be viewer, operator or admin", o.Name)
		case text == "":
			bad("token of %s is empty", o.Name)
		case sums[sum] != "":
			bad("token of %s is the same as that of %s", o.Name, sums[sum])
		default:
			names[o.Name], sums[sum] = true, o.Name
			out = append(out, configured{Identity{Name: o.Name, Person: contract.PersonOf(cmp.Or(o.Owner, o.Name)), Roles: roles}, o.Token.Key, o.Token.Expires})
		}
	}

	return out, errors.Join(mistakes...)
}

// rolesOf returns the roles of an operator by tenant, and false if a name is no role or
// there is none.
func rolesOf(o config.Operator) (map[string]Role, bool) {
	roles := map[string]Role{}
	if o.Role != "" {
		roles[Everywhere] = ParseRole(o.Role)
	}
	for tenant, name := range o.Roles {
		roles[tenant] = ParseRole(name)
	}
	for _, r := range roles {
		if r == NoRole {
			return nil, false
		}
	}
	return roles, len(roles) > 0
}

// findConfigured returns the operator whose current token has the SHA-256 sum. It compares
// with every token, in constant time. A token that has become that of two operators
// identifies neither.
func findConfigured(list []configured, sum [sha256.Size]byte, now time.Time) (Identity, bool) {
	var found Identity
	matches := 0
	for _, t := range list {
		text := t.secret.Reveal()
		want := sha256.Sum256([]byte(text)) // hashes have one length, whatever that of the token
		alive := t.expires.IsZero() || now.Before(t.expires)
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && alive && text != "" {
			found = t.identity
			matches++
		}
	}
	if matches != 1 {
		return Identity{}, false
	}
	return found, true
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1).
func bearer(header string) (string, bool) {
	scheme, credentials, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	credentials = strings.TrimLeft(credentials, " ")
	return credentials, credentials != ""
}

// Plain reports whether s is valid UTF-8 without control characters.
func Plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f
	})
}
