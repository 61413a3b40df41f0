package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// Reader reads emails from the ledger.
type Reader interface {
	// ListEmails returns one page, newest first, and the cursor of the next one;
	// an empty cursor means that there is none.
	ListEmails(ctx context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error)
	// FindEmail returns the email of a lookup, the newest where it means several. It
	// is fault.NotFound when there is none.
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	// Matches lists the emails that a lookup by event id means.
	Matches(ctx context.Context, l ledger.Lookup) ([]ledger.Match, error)
	// Body says where the raw body of an email is, stored or not yet.
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// Manifest says where the store step put what; it fails before that step has run.
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// Blobs reads the object store. The caller closes what Get returns.
type Blobs interface {
	Get(ctx context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error)
}

// Config is what the API shows of the configuration.
type Config struct {
	Tenants []config.Tenant // for which tokens can be made
}

// Deps is what the API needs; all but Now is required.
type Deps struct {
	Access     *access.Authenticator
	Reader     Reader
	Blobs      Blobs
	Decisions  *decision.Service
	Editor     Editor
	Batches    *batch.Service
	Operations *operations.Service
	Sources    *operations.Sources
	TokenList  *operations.Tokens
	Auditor    Auditor
	Tokens     Tokens
	Logger     *slog.Logger
	Now        func() time.Time // nil means time.Now
}

func (d Deps) validate() error {
	var missing []error
	for _, row := range []struct {
		name   string
		absent bool
	}{
		{"Access", d.Access == nil}, {"Reader", d.Reader == nil}, {"Blobs", d.Blobs == nil}, {"Decisions", d.Decisions == nil},
		{"Editor", d.Editor == nil}, {"Batches", d.Batches == nil}, {"Operations", d.Operations == nil}, {"Auditor", d.Auditor == nil},
		{"Sources", d.Sources == nil}, {"TokenList", d.TokenList == nil}, {"Tokens", d.Tokens == nil}, {"Logger", d.Logger == nil},
	} {
		if row.absent {
			missing = append(missing, fmt.Errorf("%s is missing", row.name))
		}
	}
	return errors.Join(missing...)
}

// API is the operator API: one type of handlers for each resource. A handler either
// answers, or returns an error before it has written anything.
type API struct {
	emails       *emails
	content      *content
	decisions    *decisions
	edits        *edits
	custody      *custody
	audit        *audit
	replays      *replays
	sources      *sources
	tokens       *tokens
	overview     *overview
	destinations *destinations
	routes       *routes
}

// New checks that nothing is missing.
func New(cfg Config, deps Deps) (*API, error) {
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("operator api: %w", err)
	}
	now := deps.Now
	if now == nil {
		now = time.Now
	}
	find := finder{deps.Reader}

	a := &API{
		emails:       &emails{finder: find, timelines: deps.Auditor},
		content:      &content{finder: find, blobs: deps.Blobs, logger: deps.Logger},
		decisions:    &decisions{finder: find, service: deps.Decisions},
		edits:        &edits{finder: find, editor: deps.Editor},
		custody:      &custody{finder: find, auditor: deps.Auditor, exports: newExports(), now: now},
		audit:        &audit{auditor: deps.Auditor, checks: make(chan struct{}, longChecksAtOnce)},
		replays:      &replays{service: deps.Batches},
		sources:      &sources{service: deps.Sources},
		tokens:       &tokens{access: deps.Access, shown: deps.TokenList, store: deps.Tokens, logger: deps.Logger, now: now},
		overview:     &overview{service: deps.Operations},
		destinations: &destinations{service: deps.Operations},
		routes:       &routes{service: deps.Operations},
	}
	for _, t := range cfg.Tenants {
		a.tokens.tenants = append(a.tokens.tenants, t.Name)
	}
	return a, nil
}

// An email is named by its event id or, exactly, by its number in the ledger. The latter
// has a path of its own, because an event id may be anything.
const (
	emailByID     = "/api/v1/emails/:event_id"
	emailByNumber = "/api/v1/emails-by-number/:number"
)

// Routes returns the API's rows of the table of routes.
func (a *API) Routes() []access.Route {
	const v1 = "/api/v1"
	return slices.Concat(
		[]access.Route{row(http.MethodGet, v1+"/emails", access.Viewer, a.emails.list)},
		a.emailRoutes(emailByID), a.emailRoutes(emailByNumber),
		[]access.Route{
			row(http.MethodPost, v1+"/replays", access.Operator, a.replays.create),
			row(http.MethodGet, v1+"/replays", access.Viewer, a.replays.list),
			row(http.MethodGet, v1+"/replays/:id", access.Viewer, a.replays.show),
			row(http.MethodGet, v1+"/replays/:id/items", access.Viewer, a.replays.items),
			row(http.MethodPost, v1+"/replays/:id/start", access.Operator, a.replays.start),
			row(http.MethodPost, v1+"/replays/:id/pause", access.Operator, a.replays.control(contract.ReplayPause)),
			row(http.MethodPost, v1+"/replays/:id/resume", access.Operator, a.replays.control(contract.ReplayResume)),
			row(http.MethodPost, v1+"/replays/:id/stop", access.Operator, a.replays.control(contract.ReplayStop)),
			row(http.MethodPost, v1+"/replays/:id/rate", access.Operator, a.replays.control(contract.ReplaySetRate)),

			row(http.MethodGet, v1+"/overview", access.Viewer, a.overview.show),
			row(http.MethodGet, v1+"/destinations", access.Viewer, a.destinations.list),
			row(http.MethodPost, v1+"/destinations/:name/pause", access.Operator, a.destinations.pause),
			row(http.MethodPost, v1+"/destinations/:name/resume", access.Operator, a.destinations.resume),
			row(http.MethodGet, v1+"/routes", access.Viewer, a.routes.list),
			row(http.MethodPost, v1+"/routes/test", access.Viewer, a.routes.test),
			row(http.MethodGet, v1+"/sources", access.Viewer, a.sources.list),
			row(http.MethodGet, v1+"/sources/:name/failures", access.Operator, a.sources.listFailures),

			everywhere(http.MethodGet, v1+"/audit", access.Admin, a.audit.list),
			everywhere(http.MethodGet, v1+"/audit/head", access.Admin, a.audit.head),
			everywhere(http.MethodGet, v1+"/audit/decisions", access.Admin, a.audit.decisions),
			row(http.MethodGet, v1+"/tokens", access.Admin, a.tokens.list),
			everywhere(http.MethodPost, v1+"/tokens", access.Admin, a.tokens.create),
			everywhere(http.MethodDelete, v1+"/tokens/:name", access.Admin, a.tokens.revoke),
		},
	)
}

// emailRoutes are about one email, whose path begins with email. An attachment that is not
// clean needs the operator role on top. An edit takes effect by a decision.
func (a *API) emailRoutes(email string) []access.Route {
	return []access.Route{
		row(http.MethodGet, email, access.Viewer, a.emails.show),
		row(http.MethodGet, email+"/raw", access.Operator, a.content.raw),
		row(http.MethodGet, email+"/attachments/:sha256", access.Viewer, a.content.attachment),
		row(http.MethodPost, email+"/decisions", access.Operator, a.decisions.create),
		row(http.MethodPost, email+"/edits/preview", access.Operator, a.edits.preview),
		row(http.MethodGet, email+"/custody", access.Operator, a.custody.export),
	}
}

// row is a route for callers with a role in any tenant, whose handler narrows.
func row(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	return access.Route{Method: method, Path: path, Least: least, Handle: handle}
}

// everywhere is a route about the whole installation.
func everywhere(method, path string, least access.Role, handle func(*gin.Context) error) access.Route {
	return access.Route{Method: method, Path: path, Least: least, Scope: access.EveryTenant, Handle: handle}
}
