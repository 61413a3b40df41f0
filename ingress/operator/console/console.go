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

// Deps is what the console needs. Emails, Blobs, Decider and Logger are required;
// the area of another one that is nil is not there, nor any way to it.
type Deps struct {
	Emails       Emails
	Blobs        Blobs
	Decider      Decider
	Holdings     Holdings
	Timelines    Timelines
	Edits        Edits
	Destinations Destinations
	Rules        Rules
	Replays      Replays
	Figures      Figures
	Chain        Chain
	Changes      Changes
	Logger       *slog.Logger
	Now          func() time.Time // nil means time.Now
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
	if deps.Emails == nil || deps.Blobs == nil || deps.Decider == nil || deps.Logger == nil {
		return nil, errors.New("console: Emails, Blobs, Decider and Logger are required")
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

// Routes is what the console answers. Areas that it was given nothing for are not there.
func (c *Console) Routes() []access.Route {
	const email = "/emails/:event_id"
	routes := []access.Route{
		page(http.MethodGet, "/", access.Viewer, c.overview),
		page(http.MethodGet, "/inbox", access.Viewer, c.inbox),
		page(http.MethodGet, "/emails", access.Viewer, c.search),
		page(http.MethodGet, email, access.Viewer, c.email),
		page(http.MethodGet, email+"/html", access.Viewer, c.html),
		page(http.MethodGet, email+"/raw", access.Operator, c.raw),
		page(http.MethodPost, email+"/decisions", access.Operator, c.decide),
		page(http.MethodGet, "/events", access.Viewer, c.events),
		{Method: http.MethodGet, Path: "/static/:name", Auth: access.Public, Handle: c.assets.serve},
		{Method: http.MethodGet, Path: "/favicon.ico", Auth: access.Public, Handle: c.assets.favicon},
	}
	if c.deps.Edits != nil {
		routes = append(routes,
			page(http.MethodGet, email+"/edit", access.Operator, c.editForm),
			page(http.MethodPost, email+"/edit", access.Operator, c.edit))
	}
	if c.deps.Destinations != nil {
		routes = append(routes,
			page(http.MethodGet, "/destinations", access.Viewer, c.destinations),
			page(http.MethodPost, "/destinations/:name/:verb", access.Operator, c.control))
	}
	if c.deps.Rules != nil {
		routes = append(routes,
			page(http.MethodGet, "/routes", access.Viewer, c.rules),
			page(http.MethodPost, "/routes", access.Viewer, c.testRules))
	}
	if c.deps.Replays != nil {
		routes = append(routes,
			page(http.MethodGet, "/replays", access.Operator, c.replays),
			page(http.MethodGet, "/replays/new", access.Operator, c.newReplay),
			page(http.MethodGet, "/replays/:id", access.Operator, c.replay),
			page(http.MethodPost, "/replays", access.Operator, c.planReplay),
			page(http.MethodPost, "/replays/:id/:verb", access.Operator, c.steerReplay))
	}
	if c.deps.Chain != nil {
		routes = append(routes, everywhere(http.MethodGet, "/audit", access.Admin, c.audit))
	}
	return routes
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
