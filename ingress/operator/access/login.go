package access

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// LoginPath is the path of the login page. Its parameter "next" is the path to continue
// with afterwards.
const LoginPath = "/login"

const (
	maxLoginForm = 8 << 10 // bytes
	maxNext      = 2000    // bytes
)

// Result is the outcome of a login, the label of mailroom_logins_total.
type Result string

// The results.
const (
	ResultOK      Result = "ok"
	ResultRefused Result = "refused" // the token, or the provider's answer, is not valid
	ResultDenied  Result = "denied"  // the provider refused the login
	ResultNoRole  Result = "no_role" // none of the person's groups has a role
	ResultLimited Result = "limited" // too many attempts
	ResultFailed  Result = "failed"  // the provider or the database is unavailable
)

// results returns every result.
func results() []Result {
	return []Result{ResultOK, ResultRefused, ResultDenied, ResultNoRole, ResultLimited, ResultFailed}
}

// LoginDeps are the dependencies of a Login. All but Client are required, and Access must
// have Sessions.
type LoginDeps struct {
	Access   *Authenticator
	Logins   Logins
	Logger   *slog.Logger
	Registry prometheus.Registerer
	Pages    Pages
	Client   *http.Client // for the OpenID provider; nil: one with a timeout of 10 s
}

// Login serves the pages and requests by which people log in and out.
type Login struct {
	*Authenticator
	logins   Logins
	logger   *slog.Logger
	pages    Pages
	limiter  *limiter
	provider *provider // nil: none is configured
	total    *prometheus.CounterVec
}

// NewLogin returns a Login. The OpenID provider is discovered at the first login, so that
// Mailroom starts without it.
func NewLogin(deps LoginDeps) (*Login, error) {
	if deps.Access == nil || deps.Logins == nil || deps.Pages == nil || deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("login: a dependency is missing")
	}

	l := &Login{
		Authenticator: deps.Access, logins: deps.Logins, logger: deps.Logger, pages: deps.Pages, limiter: newLimiter(),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailroom_logins_total", Help: "Logins of people, by outcome.",
		}, []string{"result"}),
	}

	for _, r := range results() {
		l.total.WithLabelValues(string(r))
	}

	if err := deps.Registry.Register(l.total); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if l.access.OIDC.Issuer != "" {
		l.provider = newProvider(l.access, deps.Client, deps.Access.now)
	}

	return l, nil
}

// Routes returns the routes of login and logout.
func (l *Login) Routes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: LoginPath, Auth: Public, Handle: l.show},
		{Method: http.MethodPost, Path: LoginPath, Auth: Public, Handle: l.withToken},
		{Method: http.MethodPost, Path: "/logout", Auth: Page, Least: Viewer, Handle: l.logout},
		{Method: http.MethodGet, Path: "/oidc/start", Auth: Public, Handle: l.start},
		{Method: http.MethodGet, Path: "/oidc/callback", Auth: Public, Handle: l.callback},
	}
}

// show answers GET /login with the login page, or a redirect if the caller is logged in.
func (l *Login) show(c *gin.Context) error {
	next := localPath(c.Query("next"))
	if _, ok := SessionFrom(c.Request.Context()); ok {
		c.Redirect(http.StatusSeeOther, next)
		return nil
	}
	return l.render(c, http.StatusOK, next, "")
}

// render answers with the login page and the text of a problem, which may be empty.
func (l *Login) render(c *gin.Context, status int, next, problem string) error {
	open := l.trusts(c.Request)
	var page bytes.Buffer
	err := l.pages.Login(&page, LoginPage{
		Next: next, Token: open && l.access.AllowsToken(), Provider: open && l.provider != nil, Problem: problem,
	})
	if err != nil {
		return fmt.Errorf("render login: %w", err)
	}
	c.Data(status, "text/html; charset=utf-8", page.Bytes())
	return nil
}

// withToken answers POST /login: it starts a session that ends with the token.
func (l *Login) withToken(c *gin.Context) error {
	r := c.Request
	if l.origin.Check(r) != nil {
		return errForged
	}
	if !l.trusts(r) || !l.access.AllowsToken() {
		return fault.New(fault.Forbidden, "a token cannot be used to log in from here: set access.public_url, or come from the machine that Mailroom runs on")
	}

	r.Body = http.MaxBytesReader(c.Writer, r.Body, maxLoginForm)
	text, next := strings.TrimSpace(r.PostFormValue("token")), localPath(r.PostFormValue("next"))
	who, err := l.tokens.byText(r, text)
	switch {
	case fault.Is(err, fault.Unauthorized):
		// Counted after the lookup: wrong tokens from the same address do not block a valid one.
		if done, err := l.limit(c); done {
			return err
		}
		l.recordResult(c, ResultRefused, "", "token")
		return l.render(c, http.StatusUnauthorized, next, "This token is not valid. Check that you copied all of it, or ask an administrator for a new one.")
	case err != nil:
		l.recordResult(c, ResultFailed, "", "token")
		return err
	}

	if wait := l.limiter.waitName(who.Name, l.now()); wait > 0 {
		return l.renderLimited(c, wait)
	}

	sum := sha256.Sum256([]byte(text))
	if err := l.startSession(c.Writer, r, ledger.Session{Name: who.Name, Token: &sum}); err != nil {
		l.recordResult(c, ResultFailed, who.Name, "token")
		return err
	}

	l.recordResult(c, ResultOK, who.Name, "token")
	c.Redirect(http.StatusSeeOther, next)
	return nil
}

// logout answers POST /logout: it ends the session.
func (l *Login) logout(c *gin.Context) error {
	s, _ := SessionFrom(c.Request.Context())
	if err := l.endSession(c.Request.Context(), s.sum); err != nil {
		return err
	}
	l.cookies.set(c.Writer, sessionCookie, "", 0)
	l.logger.Info("logout", slog.String("actor", From(c.Request.Context()).Name))
	c.Redirect(http.StatusSeeOther, LoginPath)
	return nil
}

// limit counts an attempt of the caller's address. If that is one too many it answers 429,
// and done is true.
func (l *Login) limit(c *gin.Context) (done bool, err error) {
	wait := l.limiter.wait(l.proxies.Client(c.Request), l.now())
	if wait <= 0 {
		return false, nil
	}
	return true, l.renderLimited(c, wait)
}

// renderLimited answers 429 with Retry-After.
func (l *Login) renderLimited(c *gin.Context, wait time.Duration) error {
	l.recordResult(c, ResultLimited, "", "")
	seconds := int(math.Ceil(wait.Seconds()))
	c.Header("Retry-After", strconv.Itoa(seconds))
	return l.render(c, http.StatusTooManyRequests, "/", fmt.Sprintf("Too many attempts. Try again in %d seconds.", seconds))
}

// recordResult counts a login and logs it with name and client address. Attempts beyond the
// limits are logged at debug level only, so that a flood does not fill the log.
func (l *Login) recordResult(c *gin.Context, result Result, name, by string) {
	l.total.WithLabelValues(string(result)).Inc()
	attrs := []any{slog.String("result", string(result)), slog.String("remote", l.proxies.Client(c.Request).String())}
	if name != "" {
		attrs = append(attrs, slog.String("actor", name))
	}
	if by != "" {
		attrs = append(attrs, slog.String("by", by))
	}

	switch result {
	case ResultOK:
		l.logger.Info("login.ok", attrs...)
	case ResultLimited:
		l.logger.Debug("login.failed", attrs...)
	default:
		l.logger.Warn("login.failed", attrs...)
	}
}

// localPath returns next if it is a path on this server, else "/", so that a link to the
// login page cannot redirect to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	switch {
	case err != nil, len(next) > maxNext, !Plain(next), strings.ContainsRune(next, '\\'),
		!strings.HasPrefix(next, "/"), strings.HasPrefix(next, "//"), u.Scheme != "", u.Host != "",
		strings.HasPrefix(u.Path, "//"), u.Path == LoginPath:
		return "/"
	}
	return next
}

// LoginURL returns the URL of the login page that continues with r afterwards, if r is a
// GET.
func LoginURL(r *http.Request) string {
	if r.Method != http.MethodGet {
		return LoginPath
	}
	if next := localPath(r.URL.RequestURI()); next != "/" {
		return LoginPath + "?next=" + url.QueryEscape(next)
	}
	return LoginPath
}

// loginFor is how long a login at the provider may take.
const loginFor = 10 * time.Minute
