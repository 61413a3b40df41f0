package ingress

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/authlog"
	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/api"
	"mailroom/ingress/operator/codec"
	"mailroom/shared/config"
	"mailroom/shared/secret"
	"mailroom/shared/temporal"
)

// newConsole wires all that the operator listener answers about server. stop ends
// what would not end by itself.
func newConsole(file *config.File, secrets *secret.Store, d dependencies, keys *authlog.KeyUse, server *Server, reg prometheus.Registerer,
	logger *slog.Logger) (handler http.Handler, stop func(), err error) {
	who, err := access.New(access.Config{
		Operators: file.Operators, Access: file.Access, TrustedProxies: file.Ingress.TrustedProxies,
	}, access.Deps{Tokens: d.logins, Sessions: d.logins})
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	rooms, err := newRooms(file, d, acks{server.metrics.ackSeconds}, logger)
	if err != nil {
		return nil, nil, err
	}
	pages, err := newPages(file, d, rooms, logger)
	if err != nil {
		return nil, nil, err
	}
	login, err := access.NewLogin(access.LoginDeps{Access: who, Pages: pages, Logins: d.logins, Logger: logger, Registry: reg})
	if err != nil {
		return nil, nil, err
	}
	payloads, err := codec.New(codec.Config{Origins: file.Operator.UIOrigins}, temporal.NewCodec(d.keys))
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	console, err := api.New(api.Config{Sources: file.Sources, Tenants: file.Tenants}, api.Deps{
		Access: who, Routes: slices.Concat(login.Routes(), payloads.Routes(), pages.Routes(), rooms.whole.Routes(), readyRoutes(server)), Pages: pages, Tokens: d.reader,
		Reader: d.reader, Blobs: d.bodies, Decisions: rooms.decisions, Logger: logger,
		Auditor: d.reader, Failures: d.reader, KeyUse: keys, Secrets: secrets,
		Replays: rooms.many, Editor: rooms.editor,
	})
	if err != nil {
		return nil, nil, err
	}
	answers := payloads.CORS(console)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.undeclared.Note(r)
		answers.ServeHTTP(w, r)
	}), pages.Close, nil
}

// readyRoutes tell operators of every tenant what the public /readyz keeps to itself.
func readyRoutes(server *Server) []access.Route {
	return []access.Route{{
		Method: http.MethodGet, Path: "/readyz", Least: access.Viewer, Scope: access.EveryTenant,
		Handle: func(c *gin.Context) error {
			server.health.detailed(c.Writer, c.Request)
			return nil
		},
	}}
}
