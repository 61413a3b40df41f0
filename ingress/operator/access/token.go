package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// tokenPrefix begins every token that NewToken makes, so that scanners for leaked
// secrets can find one.
const tokenPrefix = "mrt_"

// secretSize is the length of tokens and cookies in random bytes.
const secretSize = 32

// touchEvery is the precision of the time at which a token or a session was last used.
const touchEvery = time.Minute

// Tokens finds the tokens that an admin made.
type Tokens interface {
	// FindToken returns a token by the hash of its text, valid or not, and
	// fault.NotFound where there is none.
	FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error)
	// TouchToken records that a token was used.
	TouchToken(ctx context.Context, sum [32]byte, at time.Time) error
}

// NewToken returns the text of a new token, which is shown once, and the hash under
// which it is stored.
func NewToken() (text string, sum [32]byte) {
	text = tokenPrefix + random()
	return text, sha256.Sum256([]byte(text))
}

// random returns 256 random bits that fit into a header, a cookie and a form.
func random() string {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// shaped reports whether NewToken may have made text, so that nothing else costs a query.
func shaped(text string) bool {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil
}

var errNoToken = fault.New(fault.Unauthorized, "this needs a valid bearer token, or a login")

// tooMany refuses an address after too many attempts.
func tooMany(wait time.Duration) error {
	return fault.New(fault.RateLimited, "too many invalid attempts came from this address: wait before the next one").After(wait)
}

// byToken returns the caller whose token text is. Tokens of the configuration are found
// while the database is unavailable; others cannot be checked then.
func (a *Authenticator) byToken(r *http.Request, text string) (Identity, error) {
	sum := sha256.Sum256([]byte(text))
	now := a.now()
	if who, ok := findConfigured(a.configured, sum, now); ok {
		return who, nil
	}
	if !shaped(text) {
		return Identity{}, errNoToken
	}

	if _, known := a.tokenCache.get(sum, now); !known {
		err := a.lookups.ask(r, sum, now, func(ctx context.Context) error {
			_, err := a.lookUp(ctx, sum, now)
			return err
		})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return Identity{}, err
		}
	}

	return a.bySum(r.Context(), sum, now)
}

// bySum returns the caller whose token has the hash sum.
func (a *Authenticator) bySum(ctx context.Context, sum [32]byte, now time.Time) (Identity, error) {
	if who, ok := findConfigured(a.configured, sum, now); ok {
		return who, nil
	}

	t, err := a.lookUp(ctx, sum, now)
	switch {
	case fault.Is(err, fault.NotFound):
		return Identity{}, errNoToken
	case err != nil:
		return Identity{}, err
	case t.RevokedAt != nil, t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return Identity{}, errNoToken
	}

	if t.LastUsedAt == nil || now.Sub(*t.LastUsedAt) >= touchEvery {
		// That it was used matters less than that it works.
		if a.tokens.TouchToken(ctx, sum, now) == nil {
			t.LastUsedAt = &now
			a.tokenCache.put(sum, t, nil, now)
		}
	}

	who := Identity{Name: t.Name, Person: contract.PersonOf(cmp.Or(t.Owner, t.CreatedBy, t.Name)), Roles: map[string]Role{}}
	for tenant, name := range t.Roles {
		who.Roles[tenant] = ParseRole(name)
	}

	return who, nil
}

// lookUp finds a token in the cache or the database.
func (a *Authenticator) lookUp(ctx context.Context, sum [32]byte, now time.Time) (ledger.Token, error) {
	if found, ok := a.tokenCache.get(sum, now); ok {
		return found.row, found.err
	}
	t, err := a.tokens.FindToken(ctx, sum)
	if err == nil || fault.Is(err, fault.NotFound) {
		a.tokenCache.put(sum, t, err, now)
	}
	return t, err
}

// Forget drops what is cached, so that a token revoked or a session ended through
// this process ends at once. Other processes learn of it within five seconds.
func (a *Authenticator) Forget() {
	a.tokenCache.drop()
	a.sessionCache.drop()
}

// Configured reports whether an operator of the configuration has this name. Its
// decisions are kept under it, so that no token may have it.
func (a *Authenticator) Configured(name string) bool {
	for _, t := range a.configured {
		if t.identity.Name == name {
			return true
		}
	}
	return false
}
