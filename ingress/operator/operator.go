package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/api"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/codec"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/listener"
	"mailroom/ingress/operator/operations"
	"mailroom/ingress/operator/timeline"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/edit/preview"
	"mailroom/shared/excerpt"
	"mailroom/shared/postgres"
	"mailroom/shared/rules"
	"mailroom/shared/seal"
	"mailroom/shared/secret"
	"mailroom/shared/temporal"
)

// Deps is what the listener works with; all of it is required.
type Deps struct {
	// Ledger answers what operators ask, Logins finds tokens and sessions: two pools, so
	// that slow searches keep no operator from logging in.
	Ledger   *postgres.DB
	Logins   *postgres.DB
	Blobs    *blob.Store
	Temporal client.Client
	Keys     seal.Keyring
	Secrets  *secret.Store
	KeyUse   operations.KeyUse
	// AckSeconds is the histogram of how fast senders were answered.
	AckSeconds prometheus.Metric
	// Ready answers GET /readyz with the details that the public listener leaves out.
	Ready http.HandlerFunc
	// Health returns the status of this ingress and a word for each dependency, as Ready
	// answers them.
	Health   func(ctx context.Context) (status string, checks map[string]string)
	Registry prometheus.Registerer
	Logger   *slog.Logger
}

func (d Deps) validate() error {
	if d.Ledger == nil || d.Logins == nil || d.Blobs == nil || d.Temporal == nil || d.Secrets == nil || d.KeyUse == nil ||
		d.AckSeconds == nil || d.Ready == nil || d.Health == nil || d.Registry == nil || d.Logger == nil {
		return errors.New("operator listener: a dependency is missing")
	}
	return nil
}

// Listener answers everything on the operator's port.
type Listener struct {
	http.Handler
	console *console.Console
}

// Close ends the live connections of pages, which would hold up a shutdown.
func (l *Listener) Close() { l.console.Close() }

// New wires the listener to the configuration.
func New(file *config.File, deps Deps) (*Listener, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	ledger, logins := newStores(deps.Ledger), postgres.NewAccess(deps.Logins)
	s, err := newServices(file, deps, ledger)
	if err != nil {
		return nil, err
	}

	callers, err := access.New(
		access.Config{Operators: file.Operators, Access: file.Access, TrustedProxies: file.Ingress.TrustedProxies},
		access.Deps{Tokens: logins, Sessions: logins})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}

	pages, err := console.New(
		console.Config{TemporalUI: file.Operator.TemporalUI, Warning: scannerWarning(file.Scanner)},
		console.Deps{
			Emails: ledger, Blobs: deps.Blobs, Decisions: s.decisions, Editor: s.editor, Operations: s.operations,
			Sources: s.sources, Tokens: s.tokens, Batches: s.batches, Chain: ledger, Changes: ledger, Logger: deps.Logger,
		})
	if err != nil {
		return nil, err
	}

	login, err := access.NewLogin(access.LoginDeps{
		Access: callers, Pages: pages, Logins: logins, Logger: deps.Logger, Registry: deps.Registry,
	})
	if err != nil {
		return nil, err
	}
	payloads, err := codec.New(codec.Config{Origins: file.Operator.UIOrigins}, temporal.NewCodec(deps.Keys))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}

	resources, err := api.New(api.Config{Tenants: file.Tenants}, api.Deps{
		Access: callers, Reader: ledger, Blobs: deps.Blobs, Decisions: s.decisions, Editor: s.editor, Batches: s.batches,
		Operations: s.operations, Sources: s.sources, TokenList: s.tokens, Auditor: ledger, Tokens: ledger, Logger: deps.Logger,
	})
	if err != nil {
		return nil, err
	}

	// The one table of all that the listener answers.
	table := slices.Concat(login.Routes(), payloads.Routes(), pages.Routes(), resources.Routes(), readyRoutes(deps.Ready))
	handler, err := listener.New(table, listener.Deps{Access: callers, Pages: pages, Logger: deps.Logger})
	if err != nil {
		return nil, err
	}
	return &Listener{Handler: payloads.CORS(handler), console: pages}, nil
}

// services are what both the API and the console call.
type services struct {
	editor     *preview.Editor
	decisions  *decision.Service
	operations *operations.Service
	sources    *operations.Sources
	tokens     *operations.Tokens
	batches    *batch.Service
}

func newServices(file *config.File, deps Deps, ledger stores) (s services, err error) {
	compiled, err := rules.Of(file)
	if err != nil {
		return s, fmt.Errorf("configuration: routes: %w", err)
	}
	s.editor, err = preview.New(preview.Config{Destinations: file.Destinations},
		preview.Deps{Ledger: ledger, Objects: deps.Blobs, Rules: compiled})
	if err != nil {
		return s, err
	}

	s.decisions, err = decision.New(decision.Deps{
		Intents: ledger, Decider: temporal.NewDecider(deps.Temporal), Edits: s.editor, Logger: deps.Logger,
	})
	if err != nil {
		return s, err
	}

	s.operations, err = operations.New(
		operations.Config{Destinations: file.Destinations, Routes: file.Routes, Tenants: file.Tenants, Sources: file.Sources},
		operations.Deps{
			Ledger: ledger, Messages: excerpt.NewReader(deps.Blobs, excerpt.Usual), Acks: acks{deps.AckSeconds},
			Rules: compiled, Health: deps.Health,
		})
	if err != nil {
		return s, err
	}

	s.sources, err = operations.NewSources(file.Sources, operations.SourcesDeps{
		Failures: ledger, KeyUse: deps.KeyUse, Uses: ledger, Secrets: deps.Secrets, Logger: deps.Logger,
	})
	if err != nil {
		return s, err
	}
	if s.tokens, err = operations.NewTokens(file.Operators, ledger, nil); err != nil {
		return s, err
	}

	s.batches, err = batch.New(batch.Deps{
		Ledger: ledger, Runner: temporal.NewReplays(deps.Temporal, temporal.Converter(deps.Keys)), Logger: deps.Logger,
	})
	return s, err
}

// scannerWarning is what every page says while the built-in scanner is configured.
func scannerWarning(s config.Scanner) string {
	if !s.BuiltIn {
		return ""
	}
	return "The built-in scanner is configured (scanner: builtin). It knows the EICAR test file and little else: for development only."
}

// readyRoutes show operators of every tenant the details that the public /readyz leaves out.
func readyRoutes(ready http.HandlerFunc) []access.Route {
	return []access.Route{{
		Method: http.MethodGet, Path: "/readyz", Least: access.Viewer, Scope: access.EveryTenant,
		Handle: func(c *gin.Context) error {
			ready(c.Writer, c.Request)
			return nil
		},
	}}
}

// stores are the parts of the ledger that operators read and write.
type stores struct {
	*postgres.Access
	*postgres.AuditChain
	*postgres.AuthFailures
	*postgres.Batches
	*postgres.Decisions
	*postgres.Deliveries
	*postgres.Emails
	*postgres.UsedSecrets
	*postgres.Views
	*postgres.Workers
	timeline.Timelines
}

func newStores(db *postgres.DB) stores {
	views := postgres.NewViews(db)
	return stores{
		Access: postgres.NewAccess(db), AuditChain: postgres.NewAuditChain(db), AuthFailures: postgres.NewAuthFailures(db),
		Batches: postgres.NewBatches(db), Decisions: postgres.NewDecisions(db), Deliveries: postgres.NewDeliveries(db),
		Emails: postgres.NewEmails(db), UsedSecrets: postgres.NewUsedSecrets(db), Views: views, Workers: postgres.NewWorkers(db), Timelines: timeline.New(views),
	}
}
