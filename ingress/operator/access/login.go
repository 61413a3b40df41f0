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

// LoginPath is where who is not logged in is sent to; the parameter "next" says
// where to go afterwards.
const LoginPath = "/login"

const (
	maxLoginForm = 8 << 10
	maxNext      = 2000
)

// Result is how a login ended; it is a label of mailroom_logins_total.
type Result string

// The results.
const (
	ResultOK      Result = "ok"
	ResultRefused Result = "refused" // the token, or what came back from the provider, is not valid
	ResultDenied  Result = "denied"  // the provider said no
	ResultNoRole  Result = "no_role" // none of the person's groups has a role
	ResultLimited Result = "limited" // tried too often
	ResultFailed  Result = "failed"  // the provider or the database is away
)

func results() []Result {
	return []Result{ResultOK, ResultRefused, ResultDenied, ResultNoRole, ResultLimited, ResultFailed}
}

// LoginDeps is what a Login needs; Access, Logins and Logger are required.
type LoginDeps struct {
	Access   *Authenticator
	Logins   Logins
	Logger   *slog.Logger
	Registry prometheus.Registerer
	Pages    Pages
	Client   *http.Client // to the OpenID provider; nil: one with timeouts
}

// Login is how people log in and out.
type Login struct {
	*Authenticator
	logins   Logins
	logger   *slog.Logger
	pages    Pages
	limiter  *limiter
	provider *provider // nil: there is none
	total    *prometheus.CounterVec
}

// NewLogin makes a Login. The provider is looked for when somebody logs in.
func NewLogin(deps LoginDeps) (*Login, error) {
	if deps.Access == nil || deps.Access.sessions == nil || deps.Logins == nil || deps.Pages == nil || deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("login: Access with Sessions, Logins, Pages, Logger and Registry are required")
	}

	l := &Login{
		Authenticator: deps.Access, logins: deps.Logins, logger: deps.Logger, pages: deps.Pages, limiter: newLimiter(),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailroom_logins_total", Help: "Logins of people by how they ended.",
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

// Routes gives the rows of the table.
func (l *Login) Routes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: LoginPath, Auth: Public, Handle: l.show},
		{Method: http.MethodPost, Path: LoginPath, Auth: Public, Handle: l.withToken},
		{Method: http.MethodPost, Path: "/logout", Auth: Page, Least: Viewer, Handle: l.logout},
		{Method: http.MethodGet, Path: "/oidc/start", Auth: Public, Handle: l.start},
		{Method: http.MethodGet, Path: "/oidc/callback", Auth: Public, Handle: l.callback},
	}
}

// show answers GET /login. Who is logged in already goes on.
func (l *Login) show(c *gin.Context) error {
	next := localPath(c.Query("next"))
	if _, ok := SessionFrom(c.Request.Context()); ok {
		c.Redirect(http.StatusSeeOther, next)
		return nil
	}
	return l.render(c, http.StatusOK, next, "")
}

// render answers with the login page.
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

// withToken answers POST /login: it makes a session that lives with the token.
func (l *Login) withToken(c *gin.Context) error {
	r := c.Request
	if l.origin.Check(r) != nil {
		return errForged
	}
	if !l.trusts(r) || !l.access.AllowsToken() {
		return fault.New(fault.Forbidden, "nobody can log in here with a token")
	}

	r.Body = http.MaxBytesReader(c.Writer, r.Body, maxLoginForm)
	text, next := strings.TrimSpace(r.PostFormValue("token")), localPath(r.PostFormValue("next"))
	who, err := l.byToken(r, text)
	switch {
	case fault.Is(err, fault.Unauthorized):
		// Looked up first: a neighbour's wrong tokens keep no valid one out.
		if done, err := l.limited(c); done {
			return err
		}
		l.note(c, ResultRefused, "", "token")
		return l.render(c, http.StatusUnauthorized, next, "This token is not valid.")
	case err != nil:
		l.note(c, ResultFailed, "", "token")
		return err
	}

	if wait := l.limiter.waitName(who.Name, l.now()); wait > 0 {
		return l.putOff(c, wait)
	}

	sum := sha256.Sum256([]byte(text))
	if err := l.startSession(c.Writer, r, ledger.Session{Name: who.Name, Token: &sum}); err != nil {
		l.note(c, ResultFailed, who.Name, "token")
		return err
	}

	l.note(c, ResultOK, who.Name, "token")
	c.Redirect(http.StatusSeeOther, next)
	return nil
}

// logout answers POST /logout.
func (l *Login) logout(c *gin.Context) error {
	s, _ := SessionFrom(c.Request.Context())
	if err := l.endSession(c.Request.Context(), s.sum); err != nil {
		return err
	}
	l.setCookie(c.Writer, sessionCookie, "", 0)
	l.logger.Info("logout", slog.String("actor", From(c.Request.Context()).Name))
	c.Redirect(http.StatusSeeOther, LoginPath)
	return nil
}

// limited puts off who tries too often; done says that this is the answer.
func (l *Login) limited(c *gin.Context) (done bool, err error) {
	wait := l.limiter.wait(l.proxies.Client(c.Request), l.now())
	if wait <= 0 {
		return false, nil
	}
	return true, l.putOff(c, wait)
}

func (l *Login) putOff(c *gin.Context, wait time.Duration) error {
	l.note(c, ResultLimited, "", "")
	seconds := int(math.Ceil(wait.Seconds()))
	c.Header("Retry-After", strconv.Itoa(seconds))
	return l.render(c, http.StatusTooManyRequests, "/", fmt.Sprintf("Too many attempts. Try again in %d seconds.", seconds))
}

// note counts a login and logs it, by name alone. What strangers do is a number, and a
// line where it is not a flood.
func (l *Login) note(c *gin.Context, result Result, name, by string) {
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

// localPath gives a path of ours to go to, "/" for anything else, so that nobody
// is led away with a link to our login.
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

// LoginURL gives where to send who must log in first to see what r asks for.
func LoginURL(r *http.Request) string {
	if r.Method != http.MethodGet {
		return LoginPath
	}
	if next := localPath(r.URL.RequestURI()); next != "/" {
		return LoginPath + "?next=" + url.QueryEscape(next)
	}
	return LoginPath
}

// loginFor is how long somebody may take at the provider.
const loginFor = 10 * time.Minute
