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
	// CSRFHeader and CSRFField hold the token of the session, see API.
	CSRFHeader = "X-CSRF-Token"
	CSRFField  = "csrf"

	// hostPrefix makes browsers take a cookie from its own host over TLS alone
	// (RFC 6265bis §4.1.3.2).
	hostPrefix    = "__Host-"
	sessionCookie = "mailroom"
	loginCookie   = "mailroom-login"
)

// maxForm bounds a form with the session's token in bytes.
const maxForm = 1 << 20

// Sessions keeps the sessions of people. Rows are found by the hash of a cookie.
type Sessions interface {
	CreateSession(ctx context.Context, s ledger.Session) error
	FindSession(ctx context.Context, sum [32]byte) (ledger.Session, error) // fault.NotFound where there is none
	TouchSession(ctx context.Context, sum [32]byte, at time.Time) error
	EndSession(ctx context.Context, sum [32]byte) error
}

// Session is the login by which a request came.
type Session struct {
	// CSRF is what pages put into the form field CSRFField and scripts into the
	// header CSRFHeader of every request that changes something.
	CSRF string
	// Expires is when it ends at the latest.
	Expires time.Time
	sum     [32]byte
}

type sessionKey struct{}

// SessionFrom returns the session of the request of ctx; false where it came with a bearer
// token, or from an unknown caller.
func SessionFrom(ctx context.Context) (Session, bool) {
	s, ok := ctx.Value(sessionKey{}).(Session)
	return s, ok
}

var errNoSession = fault.New(fault.Unauthorized, "this page needs a login: sign in first")

// bySession returns the caller whose session the cookie of r names.
func (a *Authenticator) bySession(r *http.Request) (Caller, error) {
	cookie, err := r.Cookie(a.cookieName(sessionCookie))
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

// holder returns the identity of a session as of now: that of its token, or the roles that
// the configuration assigns to the groups of the login.
func (a *Authenticator) holder(ctx context.Context, s ledger.Session, now time.Time) (Identity, error) {
	if s.Token != nil {
		return a.bySum(ctx, *s.Token, now)
	}
	roles := a.rolesOf(s.Groups)
	if len(roles) == 0 {
		return Identity{}, errNoSession
	}
	return Identity{Name: s.Name, Person: contract.PersonOf(s.Name), Display: s.Display, Roles: roles}, nil
}

// findSession finds a session in the cache or the database.
func (a *Authenticator) findSession(r *http.Request, sum [32]byte, now time.Time) (s ledger.Session, err error) {
	if found, ok := a.sessionCache.get(sum, now); ok {
		return found.row, found.err
	}
	err = a.lookups.ask(r, sum, now, func(ctx context.Context) error {
		var err error
		s, err = a.sessions.FindSession(ctx, sum)
		if err == nil || fault.Is(err, fault.NotFound) {
			a.sessionCache.put(sum, s, err, now)
		}
		return err
	})
	return s, err
}

// startSession logs a person in: it creates the session and sets its cookie. A
// session that the browser had before ends.
func (a *Authenticator) startSession(w http.ResponseWriter, r *http.Request, s ledger.Session) error {
	if old, err := r.Cookie(a.cookieName(sessionCookie)); err == nil {
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
	a.setCookie(w, sessionCookie, text, a.access.Session.Absolute)
	return nil
}

func (a *Authenticator) endSession(ctx context.Context, sum [32]byte) error {
	err := a.sessions.EndSession(ctx, sum)
	a.sessionCache.drop()
	return err
}

// setCookie sets a cookie that scripts cannot read and other sites cannot have
// sent along but by a plain link; an empty text removes it. Other ports of this
// host are the same site, from which the Temporal Web UI calls the codec server.
func (a *Authenticator) setCookie(w http.ResponseWriter, name, text string, lasts time.Duration) {
	c := &http.Cookie{ //nolint:gosec // Secure wherever the public URL is https
		Name: a.cookieName(name), Value: text, Path: "/", HttpOnly: true, Secure: a.secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(lasts.Seconds()),
	}
	if text == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (a *Authenticator) cookieName(name string) string {
	if a.secure {
		return hostPrefix + name
	}
	return name
}

// trusts reports whether a session may be used with r: at the public URL or, where none
// is configured, on this machine.
func (a *Authenticator) trusts(r *http.Request) bool {
	return a.access.PublicURL != "" || loopbackHost(r.Host)
}

// loopbackHost reports whether the Host of a request means this machine.
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

// proven checks that a request with a session comes from our own pages: from our
// origin, with the token that only our pages know.
func (a *Authenticator) proven(r *http.Request, s *Session) error {
	if safe(r.Method) {
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

// safe methods change nothing (RFC 9110 §9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
