package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/guard"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Reader reads the ledger.
type Reader interface {
	// ListEmails gives one page, newest first, and the cursor of the next one;
	// an empty cursor means that there is none.
	ListEmails(ctx context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error)
	// FindEmail gives the email of an event id; an empty source means any. It
	// is fault.NotFound when there is none.
	FindEmail(ctx context.Context, source, eventID string) (*ledger.EmailDetail, error)
	// Sources gives the sources that have an email of an event id.
	Sources(ctx context.Context, eventID string) ([]string, error)
	// Body says where the raw body of an email is, stored or not yet.
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// Manifest says what the store step put where; before that it fails.
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// Blobs reads the object store. The caller closes what Get returns.
type Blobs interface {
	Get(ctx context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error)
}

// Decider carries a decision to the workflow of an email and waits for its
// answer. It fails with fault.DecisionRefused or fault.TemporalUnavailable.
type Decider interface {
	Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error)
}

// Config says who may use the API. Without operators it refuses everybody.
type Config struct {
	Operators []config.Operator
	Sources   []config.Source // what the list of sources shows
}

// Deps is what the API needs; Reader, Blobs, Decider and Logger are required.
type Deps struct {
	Reader   Reader
	Blobs    Blobs
	Decider  Decider
	Failures Failures // nil: the failures of a source are not found
	KeyUse   KeyUse   // nil: no secret was ever used
	Secrets  Secrets  // nil: no secret is failing
	Logger   *slog.Logger
	Now      func() time.Time // nil means time.Now
}

func (d Deps) validate() error {
	var missing []error
	for name, absent := range map[string]bool{
		"Reader": d.Reader == nil, "Blobs": d.Blobs == nil, "Decider": d.Decider == nil, "Logger": d.Logger == nil,
	} {
		if absent {
			missing = append(missing, fmt.Errorf("%s is missing", name))
		}
	}
	return errors.Join(missing...)
}

type handler struct {
	tokens  tokens
	reader  Reader
	blobs   Blobs
	decider Decider
	logger  *slog.Logger
	now     func() time.Time

	configured []config.Source
	failures   Failures
	keyUse     KeyUse
	secrets    Secrets

	strangers strangers
}

// Keys of what a request carries from one handler to the next.
const (
	identityKey = "identity"
	codeKey     = "code"
)

// route is one path of the API with the least role that may use it. An
// attachment that is not clean asks for the operator role on top.
type route struct {
	method, path string
	least        role
	handle       func(*handler, *gin.Context) error
}

func routes() []route {
	const email = "/api/v1/emails/:event_id"
	return []route{
		{http.MethodGet, "/api/v1/emails", viewer, (*handler).list},
		{http.MethodGet, email, viewer, (*handler).show},
		{http.MethodGet, email + "/raw", operator, (*handler).raw},
		{http.MethodGet, email + "/attachments/:sha256", viewer, (*handler).attachment},
		{http.MethodPost, email + "/decisions", operator, (*handler).decide},
		{http.MethodGet, "/api/v1/sources", viewer, (*handler).sources},
		{http.MethodGet, "/api/v1/sources/:name/failures", operator, (*handler).listFailures},
	}
}

// New makes the API. Event ids stand percent-encoded in its paths, "/" included.
// Timeouts are those of the server that it is put into.
func New(cfg Config, deps Deps) (http.Handler, error) {
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("operator api: %w", err)
	}
	known, err := newTokens(cfg.Operators)
	if err != nil {
		return nil, fmt.Errorf("operator api: %w", err)
	}
	h := &handler{
		tokens: known, reader: deps.Reader, blobs: deps.Blobs, decider: deps.Decider,
		logger: deps.Logger, now: deps.Now,
		configured: cfg.Sources, failures: deps.Failures, keyUse: deps.KeyUse, secrets: deps.Secrets,
	}
	if h.now == nil {
		h.now = time.Now
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("operator api: %w", err)
	}
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	// gin unescapes path values as if they were a query, which turns "+" into a
	// space; pathValue does it right.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = false
	engine.Use(h.observe, guard.Recover(h.logger, "operator.panic", func(c *gin.Context, f *fault.Error) { h.refuse(c, f) }), h.authenticate)
	engine.NoRoute(func(c *gin.Context) { h.refuse(c, fault.New(fault.NotFound, "there is nothing at this path")) })
	engine.NoMethod(func(c *gin.Context) {
		h.refuse(c, fault.New(fault.MethodNotAllowed, "this path does not take this method"))
	})
	for _, r := range routes() {
		engine.Handle(r.method, r.path, func(c *gin.Context) {
			err := h.permit(c, r.least)
			if err == nil {
				err = r.handle(h, c)
			}
			if err != nil {
				h.refuse(c, err)
			}
		})
	}
	return engine, nil
}

// observe sets the headers that every answer carries and logs the request.
func (h *handler) observe(c *gin.Context) {
	start := h.now()
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	defer func() { h.log(c, start) }()
	c.Next()
}

func (h *handler) authenticate(c *gin.Context) {
	who, ok := h.tokens.identify(c.GetHeader("Authorization"), h.now())
	if !ok {
		h.refuse(c, fault.New(fault.Unauthorized, "this needs an Authorization header with a valid bearer token"))
		return
	}
	c.Set(identityKey, who)
}

// permit refuses a request whose token's role is below least.
func (h *handler) permit(c *gin.Context, least role) error {
	if caller(c).role < least {
		return fault.New(fault.Forbidden, "the role of this token does not allow this")
	}
	return nil
}

// caller gives who sent the request. A request that was not authenticated gives
// the zero identity, which may do nothing.
func caller(c *gin.Context) identity {
	who, _ := c.Get(identityKey)
	id, _ := who.(identity)
	return id
}

// pathValue gives one decoded segment of the path.
func pathValue(c *gin.Context, name string) (string, error) {
	value, err := url.PathUnescape(c.Param(name))
	if err != nil || value == "" || len(value) > contract.MaxEventID || !plain(value) {
		return "", fault.New(fault.NotFound, "there is no such email")
	}
	return value, nil
}
