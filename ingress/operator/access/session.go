package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Names of the cookie of a session and of the proof of a request.
const (
	// CSRFHeader and CSRFField contain the session's token; see API.
	CSRFHeader = "X-CSRF-Token"
	CSRFField  = "csrf"

	// hostPrefix makes browsers accept a cookie only from its own host over TLS
	// (RFC 6265bis section 4.1.3.2).
	hostPrefix    = "__Host-"
	sessionCookie = "mailroom"
	loginCookie   = "mailroom-login"
)

// maxForm bounds a form with the session's token, in bytes.
const maxForm = 1 << 20

// Sessions stores sessions, found by the SHA-256 of a cookie.
type Sessions interface {
	CreateSession(ctx context.Context, s ledger.Session) error
	FindSession(ctx context.Context, sum [32]byte) (ledger.Session, error) // not_found if there is none
	TouchSession(ctx context.Context, sum [32]byte, at time.Time) error
	EndSession(ctx context.Context, sum [32]byte) error
}

// Session is the session of a request.
type Session struct {
	// CSRF is the token that pages send in the form field CSRFField, and scripts in the
	// header CSRFHeader, with every request that changes something.
	CSRF string
	// Expires is when it ends at the latest.
	Expires time.Time
	sum     [32]byte
}

type sessionKey struct{}

// SessionFrom returns the session in ctx, and false for a request with a bearer token or
// without authentication.
func SessionFrom(ctx context.Context) (Session, bool) {
	s, ok := ctx.Value(sessionKey{}).(Session)
	return s, ok
}

var errNoSession = fault.New(fault.Unauthorized, "this page needs a login: sign in first")

// bySession returns the caller whose session the cookie of r identifies, or errNoSession. It
// records the use of a session at most once a minute.
func (a *Authenticator) bySession(r *http.Request) (Caller, error) {
	cookie, err := r.Cookie(a.cookies.name(sessionCookie))
	if err != nil || cookie.Value == "" || !a.trusts(r) {
		return Caller{}, errNoSession
	}

	ctx, now, sum := r.Context(), a.now(), sha256.Sum256([]byte(cookie.Value))
	s, err := a.findSession(r, sum, now)
	switch {
	case fault.Is(err, fault.NotFound):
		return Caller{}, errNoSession
	case err != nil:
		return Caller{}, err
	case !now.Before(s.ExpiresAt), now.Sub(s.SeenAt) >= a.access.Session.Idle:
		return Caller{}, errNoSession
	}

	who, err := a.holder(ctx, s, now)
	if err != nil {
		return Caller{}, err
	}

	if now.Sub(s.SeenAt) >= touchEvery && a.sessions.TouchSession(ctx, sum, now) == nil {
		s.SeenAt = now
		a.sessionCache.put(sum, s, nil, now)
	}

	return Caller{Identity: who, Session: &Session{CSRF: s.CSRF, Expires: s.ExpiresAt, sum: sum}}, nil
}

// holder returns the identity of a session with its current roles: those of its token, or
// those that the configuration assigns to the groups of the login.
func (a *Authenticator) holder(ctx context.Context, s ledger.Session, now time.Time) (Identity, error) {
	if s.Token != nil {
		return a.tokens.bySum(ctx, *s.Token, now)
	}
	roles := groupRoles(a.access.OIDC.Groups, s.Groups)
	if len(roles) == 0 {
		return Identity{}, errNoSession
	}
	return Identity{Name: s.Name, Person: contract.PersonOf(s.Name), Display: s.Display, Roles: roles}, nil
}

// findSession returns the session with the SHA-256 sum from the cache or the database.
func (a *Authenticator) findSession(r *http.Request, sum [32]byte, now time.Time) (s ledger.Session, err error) {
	if found, ok := a.sessionCache.get(sum, now); ok {
		return found.row, found.err
	}
	err = a.lookups.query(r, sum, now, func(ctx context.Context) error {
		var err error
		s, err = a.sessions.FindSession(ctx, sum)
		if err == nil || fault.Is(err, fault.NotFound) {
			a.sessionCache.put(sum, s, err, now)
		}
		return err
	})
	return s, err
}

// startSession creates the session s with a new secret and sets its cookie. It first ends
// the session that the browser had before.
func (a *Authenticator) startSession(w http.ResponseWriter, r *http.Request, s ledger.Session) error {
	if old, err := r.Cookie(a.cookies.name(sessionCookie)); err == nil {
		if err := a.endSession(r.Context(), sha256.Sum256([]byte(old.Value))); err != nil {
			return err
		}
	}

	text, now := random(), a.now()
	s.SHA256, s.CSRF = sha256.Sum256([]byte(text)), random()
	s.CreatedAt, s.SeenAt, s.ExpiresAt = now, now, now.Add(a.access.Session.Absolute)
	if err := a.sessions.CreateSession(r.Context(), s); err != nil {
		return err
	}
	a.cookies.set(w, sessionCookie, text, a.access.Session.Absolute)
	return nil
}

// endSession ends a session, in this process at once.
func (a *Authenticator) endSession(ctx context.Context, sum [32]byte) error {
	err := a.sessions.EndSession(ctx, sum)
	a.sessionCache.clear()
	return err
}

// cookies are set and named as the public URL permits.
type cookies struct {
	secure bool // they are sent over TLS only
}

// set sets a cookie that scripts cannot read and that browsers send from other sites
// only when a link is followed (SameSite=Lax); an empty text removes it. Lax, because other
// ports of this host are the same site: the Temporal Web UI calls the codec server from one.
func (c cookies) set(w http.ResponseWriter, name, text string, lasts time.Duration) {
	one := &http.Cookie{ //nolint:gosec // Secure if the public URL is https
		Name: c.name(name), Value: text, Path: "/", HttpOnly: true, Secure: c.secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(lasts.Seconds()),
	}
	if text == "" {
		one.MaxAge = -1
	}
	http.SetCookie(w, one)
}

// name returns the name of a cookie, with the prefix __Host- if the public URL is https.
func (c cookies) name(name string) string {
	if c.secure {
		return hostPrefix + name
	}
	return name
}

// trusts reports whether r may use a session: always if public_url is set, else only if its
// Host is this machine.
func (a *Authenticator) trusts(r *http.Request) bool {
	return a.access.PublicURL != "" || loopbackHost(r.Host)
}

// loopbackHost reports whether a Host header names this machine.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

var errForged = fault.New(fault.Forbidden, "the request does not come from a page of Mailroom; reload the page and try again")

// checkProof returns errForged unless a request that may change something was sent by a page
// of Mailroom: from the same origin, with the session's token.
func (a *Authenticator) checkProof(r *http.Request, s *Session) error {
	if isSafe(r.Method) {
		return nil
	}
	if err := a.origin.Check(r); err != nil {
		return errForged
	}

	token := r.Header.Get(CSRFHeader)
	if token == "" && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
		token = r.PostFormValue(CSRFField)
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.CSRF)) != 1 {
		return errForged
	}
	return nil
}

// isSafe reports whether a method changes nothing (RFC 9110 section 9.2.1).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
