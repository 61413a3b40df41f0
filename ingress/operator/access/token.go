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

// tokenPrefix is the beginning of every token from NewToken, by which scanners for leaked
// secrets recognise one.
const tokenPrefix = "mrt_"

// secretSize is the number of random bytes in a token or cookie.
const secretSize = 32

// touchEvery is the precision with which the last use of a token or session is stored.
const touchEvery = time.Minute

// Tokens finds the tokens that admins have created.
type Tokens interface {
	// FindToken returns the token whose text has a SHA-256 sum, also if it is expired or
	// revoked, and a fault of code not_found if there is none.
	FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error)
	// TouchToken stores when a token was last used.
	TouchToken(ctx context.Context, sum [32]byte, at time.Time) error
}

// NewToken returns the text of a new token, which is shown once, and the SHA-256 sum under
// which it is stored.
func NewToken() (text string, sum [32]byte) {
	text = tokenPrefix + random()
	return text, sha256.Sum256([]byte(text))
}

// random returns 256 random bits as text for headers, cookies and forms.
func random() string {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hasTokenForm reports whether NewToken may have made text, so that other texts cost no
// query.
func hasTokenForm(text string) bool {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil
}

var errNoToken = fault.New(fault.Unauthorized, "no valid bearer token or login came with the request; send one, or log in")

// tooManyAttempts returns the fault for an address that has sent too many unknown tokens.
func tooManyAttempts(wait time.Duration) error {
	return fault.New(fault.RateLimited, "too many invalid attempts came from this address: wait before the next one").After(wait)
}

// tokenTable finds the identities of tokens, of the configuration and of the database. It
// is safe for concurrent use.
type tokenTable struct {
	configured []configured
	store      Tokens
	lookups    *lookups
	cache      *cache[ledger.Token]
	now        func() time.Time
}

// byText returns the identity of the token text, or errNoToken. Tokens of the configuration
// are found without the database; for others, its faults are returned.
func (t *tokenTable) byText(r *http.Request, text string) (Identity, error) {
	sum := sha256.Sum256([]byte(text))
	now := t.now()
	if who, ok := findConfigured(t.configured, sum, now); ok {
		return who, nil
	}
	if !hasTokenForm(text) {
		return Identity{}, errNoToken
	}

	if _, known := t.cache.get(sum, now); !known {
		err := t.lookups.query(r, sum, now, func(ctx context.Context) error {
			_, err := t.lookUp(ctx, sum, now)
			return err
		})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return Identity{}, err
		}
	}

	return t.bySum(r.Context(), sum, now)
}

// bySum returns the identity of the token with the SHA-256 sum, or errNoToken if it is
// unknown, expired or revoked. It stores the use of a token at most once a minute.
func (t *tokenTable) bySum(ctx context.Context, sum [32]byte, now time.Time) (Identity, error) {
	if who, ok := findConfigured(t.configured, sum, now); ok {
		return who, nil
	}

	row, err := t.lookUp(ctx, sum, now)
	switch {
	case fault.Is(err, fault.NotFound):
		return Identity{}, errNoToken
	case err != nil:
		return Identity{}, err
	case row.RevokedAt != nil, row.ExpiresAt != nil && !now.Before(*row.ExpiresAt):
		return Identity{}, errNoToken
	}

	if row.LastUsedAt == nil || now.Sub(*row.LastUsedAt) >= touchEvery {
		// An error is ignored: the token is valid, whether its use is stored or not.
		if t.store.TouchToken(ctx, sum, now) == nil {
			row.LastUsedAt = &now
			t.cache.put(sum, row, nil, now)
		}
	}

	who := Identity{Name: row.Name, Person: contract.PersonOf(cmp.Or(row.Owner, row.CreatedBy, row.Name)), Roles: map[string]Role{}}
	for tenant, name := range row.Roles {
		who.Roles[tenant] = ParseRole(name)
	}

	return who, nil
}

// lookUp returns the token with the SHA-256 sum from the cache or the database.
func (t *tokenTable) lookUp(ctx context.Context, sum [32]byte, now time.Time) (ledger.Token, error) {
	if found, ok := t.cache.get(sum, now); ok {
		return found.row, found.err
	}
	row, err := t.store.FindToken(ctx, sum)
	if err == nil || fault.Is(err, fault.NotFound) {
		t.cache.put(sum, row, err, now)
	}
	return row, err
}

// Forget empties the caches, so that a token revoked or a session ended through this process
// is refused at once. Other processes refuse it within five seconds.
func (a *Authenticator) Forget() {
	a.tokens.cache.clear()
	a.sessionCache.clear()
}

// Configured reports whether an operator of the configuration has this name. No token may
// have it, because decisions are recorded under it.
func (a *Authenticator) Configured(name string) bool {
	for _, t := range a.tokens.configured {
		if t.identity.Name == name {
			return true
		}
	}
	return false
}
