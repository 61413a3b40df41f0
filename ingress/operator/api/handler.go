package api

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
	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
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
	// FindEmail returns the email of a lookup, the newest where it means several. It
	// is fault.NotFound when there is none.
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	// Matches lists the emails that a lookup by event id means.
	Matches(ctx context.Context, l ledger.Lookup) ([]ledger.Match, error)
	// Body says where the raw body of an email is, stored or not yet.
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// Manifest says what the store step put where; before that it fails.
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// Blobs reads the object store. The caller closes what Get returns.
type Blobs interface {
	Get(ctx context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error)
}

// Config is what the API shows of the configuration.
type Config struct {
	Sources []config.Source // what the list of sources shows
	Tenants []config.Tenant // for which tokens can be made
}

// Deps is what the API needs; Access, Reader, Blobs, Decisions and Logger are required.
type Deps struct {
	Access    *access.Authenticator // who may come in
	Routes    []access.Route        // what else is answered: login, codec server, console
	Pages     access.Pages          // nil means access.PlainPages
	Tokens    Tokens                // nil: tokens are not found, and cannot be made
	Reader    Reader
	Blobs     Blobs
	Decisions *decision.Service // takes decisions
	Editor    Editor            // nil: edits are not served
	Auditor   Auditor           // nil: nothing can be proved, and no email has a timeline
	Replays   *batch.Service    // nil: there are no replays
	Failures  Failures          // nil: the failures of a source are not found
	KeyUse    KeyUse            // nil: no secret was ever used
	Secrets   Secrets           // nil: no secret is failing
	Logger    *slog.Logger
	Now       func() time.Time // nil means time.Now
}

func (d Deps) validate() error {
	var missing []error
	for name, absent := range map[string]bool{
		"Access": d.Access == nil, "Reader": d.Reader == nil, "Blobs": d.Blobs == nil, "Decisions": d.Decisions == nil, "Logger": d.Logger == nil,
	} {
		if absent {
			missing = append(missing, fmt.Errorf("%s is missing", name))
		}
	}
	return errors.Join(missing...)
}

type handler struct {
	access    *access.Authenticator
	more      []access.Route
	pages     access.Pages
	made      Tokens
	reader    Reader
	blobs     Blobs
	decisions *decision.Service
	editor    Editor
	replays   *batch.Service
	auditor   Auditor
	logger    *slog.Logger
	now       func() time.Time

	configured []config.Source
	tenants    []string
	failures   Failures
	keyUse     KeyUse
	secrets    Secrets

	exports   *exports
	strangers strangers
}

// Keys of what a request carries from one handler to the next.
const (
	routeKey = "route"
	codeKey  = "code"
)

// New makes the API. Event ids stand percent-encoded in its paths, "/" included.
// Timeouts are those of the server that it is put into.
func New(cfg Config, deps Deps) (http.Handler, error) {
	h, err := newHandler(cfg, deps)
	if err != nil {
		return nil, err
	}
	return h.engine()
}

func newHandler(cfg Config, deps Deps) (*handler, error) {
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("operator api: %w", err)
	}
	h := &handler{
		access: deps.Access, more: deps.Routes, pages: deps.Pages, made: deps.Tokens,
		reader: deps.Reader, blobs: deps.Blobs, decisions: deps.Decisions, editor: deps.Editor,
		replays: deps.Replays,
		auditor: deps.Auditor, logger: deps.Logger, now: deps.Now,
		configured: cfg.Sources, failures: deps.Failures, keyUse: deps.KeyUse, secrets: deps.Secrets, exports: newExports(),
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.pages == nil {
		h.pages = access.PlainPages{}
	}
	for _, t := range cfg.Tenants {
		h.tenants = append(h.tenants, t.Name)
	}
	return h, nil
}

// engine puts the table behind what every request goes through.
func (h *handler) engine() (http.Handler, error) {
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
	engine.Use(h.observe, guard.Recover(h.logger, "operator.panic", func(c *gin.Context, f *fault.Error) { h.refuse(c, f) }))
	engine.NoRoute(h.nothing(fault.New(fault.NotFound, "there is nothing at this path")))
	engine.NoMethod(h.nothing(fault.New(fault.MethodNotAllowed, "this path does not take this method")))
	for _, r := range h.routes() {
		engine.Handle(r.Method, r.Path, h.serve(r))
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

// pathValue gives one decoded segment of the path.
func pathValue(c *gin.Context, name string) (string, error) {
	value, err := url.PathUnescape(c.Param(name))
	if err != nil || value == "" || len(value) > contract.MaxEventID || !access.Plain(value) {
		return "", fault.New(fault.NotFound, "there is no such email")
	}
	return value, nil
}
