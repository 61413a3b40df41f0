package console

import (
	"errors"
	"fmt"
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
	// TemporalUI is the URL of the Temporal Web UI; empty: no links to it.
	TemporalUI string
	// Namespace is that of the workflows; empty means default.
	Namespace string
	// Warning is shown on every page; empty: none.
	Warning string
}

// Deps is what the console needs; all but Now is required.
type Deps struct {
	Emails     Emails
	Blobs      Blobs
	Decisions  Decisions
	Editor     Editor
	Operations Operations
	Sources    Sources
	Tokens     Tokens
	Batches    Batches
	Chain      auditchain.Store
	Changes    Changes
	Logger     *slog.Logger
	Now        func() time.Time // nil means time.Now
}

func (d Deps) validate() error {
	if d.Emails == nil || d.Blobs == nil || d.Decisions == nil || d.Editor == nil || d.Operations == nil || d.Sources == nil || d.Tokens == nil ||
		d.Batches == nil || d.Chain == nil || d.Changes == nil || d.Logger == nil {
		return errors.New("console: a dependency is missing")
	}
	return nil
}

// Console makes the pages: one type of handlers for each area. Close ends its live
// connections.
type Console struct {
	*site
	mail         *mailReader
	lists        *listPages
	emails       *emailPages
	edits        *editPages
	destinations *destinationPages
	routes       *routePages
	sources      *sourcePages
	tokens       *tokenPages
	batches      *batchPages
	chain        *auditPages
	overview     *overviewPages
	help         *helpPages
	changes      *livePages
}

// New reads the templates. No goroutine runs before the first page is open.
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

	s := &site{cfg: cfg, live: newHub(deps.Changes, deps.Logger), now: deps.Now}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.assets, err = newAssets(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if s.pages, err = s.parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}

	mails := &mailReader{emails: deps.Emails, blobs: deps.Blobs, stored: excerpt.NewReader(deps.Blobs, excerpt.Usual)}
	emails := &emailPages{site: s, mailReader: mails, decisions: deps.Decisions, frame: newFrame()}
	return &Console{
		site:         s,
		mail:         mails,
		lists:        &listPages{site: s, emails: deps.Emails, overviews: deps.Operations, choices: deps.Operations},
		emails:       emails,
		edits:        &editPages{emailPages: emails, editor: deps.Editor},
		destinations: &destinationPages{site: s, service: deps.Operations},
		routes:       &routePages{site: s, service: deps.Operations, choices: deps.Operations},
		sources:      &sourcePages{site: s, service: deps.Sources},
		tokens:       &tokenPages{site: s, service: deps.Tokens},
		batches:      &batchPages{site: s, service: deps.Batches, choices: deps.Operations},
		chain:        &auditPages{site: s, chain: deps.Chain},
		overview:     &overviewPages{site: s, service: deps.Operations},
		help:         newHelpPages(s),
		changes:      &livePages{site: s, mailReader: mails},
	}, nil
}

// Close ends the live connections, which would hold up a shutdown.
func (c *Console) Close() { c.live.close() }

// Routes returns the console's rows of the table of routes.
func (c *Console) Routes() []access.Route {
	const email = "/emails/:event_id"

	return []access.Route{
		page(http.MethodGet, "/", access.Viewer, c.overview.show),
		page(http.MethodGet, "/inbox", access.Viewer, c.lists.inbox),
		page(http.MethodGet, "/emails", access.Viewer, c.lists.search),
		page(http.MethodGet, email, access.Viewer, c.emails.page),
		page(http.MethodGet, email+"/html", access.Viewer, c.emails.html),
		page(http.MethodGet, email+"/raw", access.Operator, c.emails.raw),
		page(http.MethodPost, email+"/decisions", access.Operator, c.emails.decide),
		page(http.MethodGet, email+"/edit", access.Operator, c.edits.form),
		page(http.MethodPost, email+"/edit", access.Operator, c.edits.preview),
		page(http.MethodGet, "/destinations", access.Viewer, c.destinations.list),
		page(http.MethodPost, "/destinations/:name/:verb", access.Operator, c.destinations.control),
		page(http.MethodGet, "/routes", access.Viewer, c.routes.list),
		page(http.MethodPost, "/routes", access.Viewer, c.routes.test),
		page(http.MethodGet, "/sources", access.Viewer, c.sources.list),
		page(http.MethodGet, "/sources/:name/failures", access.Operator, c.sources.failures),
		page(http.MethodGet, "/replays", access.Operator, c.batches.list),
		page(http.MethodGet, "/replays/new", access.Operator, c.batches.form),
		page(http.MethodGet, "/replays/:id", access.Operator, c.batches.page),
		page(http.MethodPost, "/replays", access.Operator, c.batches.plan),
		page(http.MethodPost, "/replays/:id/:verb", access.Operator, c.batches.control),
		page(http.MethodGet, "/tokens", access.Admin, c.tokens.list),
		everywhere(http.MethodGet, "/audit", access.Admin, c.chain.list),
		page(http.MethodGet, "/help/:page", access.Viewer, c.help.page),
		page(http.MethodGet, "/events", access.Viewer, c.changes.events),
		{Method: http.MethodGet, Path: "/static/:name", Auth: access.Public, Handle: c.assets.serve},
		{Method: http.MethodGet, Path: "/favicon.ico", Auth: access.Public, Handle: c.assets.favicon},
	}
}

// page is a route for callers with a role in any tenant; its handler restricts what it
// shows.
func page(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	return access.Route{Method: method, Path: path, Least: least, Auth: access.Page, Handle: handle}
}

// everywhere is a route about the whole installation.
func everywhere(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	r := page(method, path, least, handle)
	r.Scope = access.EveryTenant
	return r
}
