package console

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/auditchain"
	"mailroom/shared/excerpt"
)

// Config says what the pages link to.
type Config struct {
	// TemporalUI is where people find the Temporal Web UI; empty: no links to it.
	TemporalUI string
	// Namespace is that of the workflows; empty means default.
	Namespace string
	// Warning stands on every page; empty: none.
	Warning string
}

// Deps is what the console needs; all but Now is required.
type Deps struct {
	Emails     Emails
	Blobs      Blobs
	Decisions  Decisions
	Editor     Editor
	Operations Operations
	Batches    Batches
	Chain      auditchain.Store
	Changes    Changes
	Logger     *slog.Logger
	Now        func() time.Time // nil means time.Now
}

func (d Deps) validate() error {
	if d.Emails == nil || d.Blobs == nil || d.Decisions == nil || d.Editor == nil || d.Operations == nil || d.Batches == nil ||
		d.Chain == nil || d.Changes == nil || d.Logger == nil {
		return errors.New("console: a dependency is missing")
	}
	return nil
}

// Console makes the pages. Close ends its live connections.
type Console struct {
	cfg    Config
	deps   Deps
	pages  map[string]*template.Template
	assets *assets
	frame  frame
	live   *hub
	now    func() time.Time
	stored *excerpt.Reader // of parsed mails
}

// New reads the templates. Nothing runs until somebody looks.
func New(cfg Config, deps Deps) (*Console, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "default"
	}
	if cfg.TemporalUI != "" {
		if u, err := url.Parse(cfg.TemporalUI); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("console: %q is no URL of a Temporal Web UI", cfg.TemporalUI)
		}
	}
	c := &Console{cfg: cfg, deps: deps, now: deps.Now, stored: excerpt.NewReader(deps.Blobs, excerpt.Usual)}
	if c.now == nil {
		c.now = time.Now
	}
	var err error
	if c.assets, err = newAssets(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.pages, err = c.parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.frame = newFrame()
	c.live = newHub(deps.Changes, deps.Logger)
	return c, nil
}

// Close ends the live connections, which would hold up a shutdown.
func (c *Console) Close() { c.live.close() }

// Routes returns the console's rows of the table of routes.
func (c *Console) Routes() []access.Route {
	const email = "/emails/:event_id"
	return []access.Route{
		page(http.MethodGet, "/", access.Viewer, c.overview),
		page(http.MethodGet, "/inbox", access.Viewer, c.inbox),
		page(http.MethodGet, "/emails", access.Viewer, c.search),
		page(http.MethodGet, email, access.Viewer, c.email),
		page(http.MethodGet, email+"/html", access.Viewer, c.html),
		page(http.MethodGet, email+"/raw", access.Operator, c.raw),
		page(http.MethodPost, email+"/decisions", access.Operator, c.decide),
		page(http.MethodGet, email+"/edit", access.Operator, c.editForm),
		page(http.MethodPost, email+"/edit", access.Operator, c.edit),
		page(http.MethodGet, "/destinations", access.Viewer, c.destinations),
		page(http.MethodPost, "/destinations/:name/:verb", access.Operator, c.control),
		page(http.MethodGet, "/routes", access.Viewer, c.rules),
		page(http.MethodPost, "/routes", access.Viewer, c.testRules),
		page(http.MethodGet, "/replays", access.Operator, c.batches),
		page(http.MethodGet, "/replays/new", access.Operator, c.newBatch),
		page(http.MethodGet, "/replays/:id", access.Operator, c.batch),
		page(http.MethodPost, "/replays", access.Operator, c.planBatch),
		page(http.MethodPost, "/replays/:id/:verb", access.Operator, c.controlBatch),
		everywhere(http.MethodGet, "/audit", access.Admin, c.audit),
		page(http.MethodGet, "/events", access.Viewer, c.events),
		{Method: http.MethodGet, Path: "/static/:name", Auth: access.Public, Handle: c.assets.serve},
		{Method: http.MethodGet, Path: "/favicon.ico", Auth: access.Public, Handle: c.assets.favicon},
	}
}

// page is a route for somebody with a role in any tenant, whose handler narrows.
func page(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	return access.Route{Method: method, Path: path, Least: least, Auth: access.Page, Handle: handle}
}

// everywhere is a route about the whole installation.
func everywhere(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	r := page(method, path, least, handle)
	r.Scope = access.EveryTenant
	return r
}
