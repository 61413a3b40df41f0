package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Logins stores the logins that have begun at the provider.
type Logins interface {
	SaveLogin(ctx context.Context, l ledger.Login, now time.Time) error
	// TakeLogin removes a login and returns it. A second call returns a fault of code
	// not_found.
	TakeLogin(ctx context.Context, state [32]byte) (ledger.Login, error)
}

// maxParameter bounds each parameter of the provider's answer, in bytes.
const maxParameter = 4096

// start answers GET /oidc/start: it saves a login that is bound to this browser by a cookie
// and redirects to the provider.
func (l *Login) start(c *gin.Context) error {
	if l.provider == nil || !l.trusts(c.Request) {
		return fault.New(fault.NotFound, "no OpenID provider is configured here; log in with a token")
	}
	if done, err := l.limit(c); done {
		return err
	}

	state, browser := random(), random()
	login := ledger.Login{
		State: sha256.Sum256([]byte(state)), Browser: sha256.Sum256([]byte(browser)), Verifier: oauth2.GenerateVerifier(),
		Nonce: random(), Next: localPath(c.Query("next")), ExpiresAt: l.now().Add(loginFor),
	}

	address, err := l.provider.authorize(c.Request.Context(), state, login.Nonce, login.Verifier)
	if err != nil {
		return l.renderFailure(c, err, login.Next)
	}
	if err := l.logins.SaveLogin(c.Request.Context(), login, l.now()); err != nil {
		return l.renderFailure(c, err, login.Next)
	}

	l.cookies.set(c.Writer, loginCookie, browser, loginFor)
	c.Redirect(http.StatusSeeOther, address)
	return nil
}

// callback answers GET /oidc/callback, to which the provider redirects the browser (RFC
// 6749 section 4.1.2). A login can be completed once.
func (l *Login) callback(c *gin.Context) error {
	if l.provider == nil {
		return fault.New(fault.NotFound, "no OpenID provider is configured here; log in with a token")
	}
	if done, err := l.limit(c); done {
		return err
	}

	login, err := l.resume(c)
	if err != nil {
		return l.renderFailure(c, err, "/")
	}

	if problem := c.Query("error"); problem != "" {
		l.recordResult(c, ResultDenied, "", "oidc")
		return l.render(c, http.StatusForbidden, login.Next, "Your organisation's login refused you. Ask its administrator for access to Mailroom.")
	}

	who, err := l.provider.exchange(c.Request.Context(), c.Query("code"), login)
	if err != nil {
		return l.renderFailure(c, err, login.Next)
	}
	if who.name == "" {
		return l.renderFailure(c, errNotVouched, login.Next)
	}

	groups := slices.DeleteFunc(who.groups, func(g string) bool { return len(groupRoles(l.access.OIDC.Groups, []string{g})) == 0 })
	if len(groups) == 0 {
		l.recordResult(c, ResultNoRole, who.name, "oidc")
		return l.render(c, http.StatusForbidden, login.Next,
			"You are logged in at your organisation, but none of your groups has a role here. Ask the administrator of Mailroom for one.")
	}

	err = l.startSession(c.Writer, c.Request, ledger.Session{Name: who.name, Display: who.display, Groups: groups})
	if err != nil {
		return l.renderFailure(c, err, login.Next)
	}

	l.recordResult(c, ResultOK, who.name, "oidc")
	c.Redirect(http.StatusSeeOther, login.Next)
	return nil
}

// resume returns the login that the provider's answer completes. It returns errNotVouched
// unless this browser began it within loginFor and it has not been completed yet.
func (l *Login) resume(c *gin.Context) (ledger.Login, error) {
	state, iss := c.Query("state"), c.Query("iss")
	cookie, err := c.Request.Cookie(l.cookies.name(loginCookie))
	l.cookies.set(c.Writer, loginCookie, "", 0)
	switch {
	case err != nil, state == "", len(state) > maxParameter, len(c.Query("code")) > maxParameter,
		iss != "" && iss != l.access.OIDC.Issuer: // RFC 9207 section 2.4
		return ledger.Login{}, errNotVouched
	}

	login, err := l.logins.TakeLogin(c.Request.Context(), sha256.Sum256([]byte(state)))
	if fault.Is(err, fault.NotFound) {
		return login, errNotVouched
	}
	if err != nil {
		return login, err
	}

	browser := sha256.Sum256([]byte(cookie.Value))
	if subtle.ConstantTimeCompare(browser[:], login.Browser[:]) != 1 || !l.now().Before(login.ExpiresAt) {
		return login, errNotVouched
	}

	return login, nil
}

// renderFailure answers a login that failed with the login page, and logs err.
func (l *Login) renderFailure(c *gin.Context, err error, next string) error {
	f := fault.From(err)
	result, status, problem := ResultFailed, http.StatusServiceUnavailable, "Mailroom cannot log you in at the moment. Try again."
	switch f.Code {
	case fault.Unauthorized:
		result, status, problem = ResultRefused, http.StatusUnauthorized, f.Public
	case fault.DownstreamUnavailable:
		problem = f.Public
	}
	l.recordResult(c, result, "", "oidc")
	l.logger.Warn("login.cause", slog.Any("error", err))
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "5")
	}
	return l.render(c, status, next, problem)
}
