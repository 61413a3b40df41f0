package ingress

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/audit"
	"mailroom/ingress/operator"
	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/codec"
	"mailroom/ingress/operator/desks"
	"mailroom/shared/config"
	"mailroom/shared/secret"
	"mailroom/shared/temporal"
)

// newConsole wires all that the operator listener answers. stop ends what would not
// end by itself.
func newConsole(file *config.File, secrets *secret.Store, d dependencies, keys *audit.KeyUse, measured desks.Acks, reg prometheus.Registerer,
	logger *slog.Logger) (handler http.Handler, stop func(), err error) {
	who, err := access.New(access.Config{
		Operators: file.Operators, Access: file.Access, TrustedProxies: file.Ingress.TrustedProxies,
	}, access.Deps{Tokens: d.logins, Sessions: d.logins})
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	rooms, err := newRooms(file, d, measured, logger)
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
	console, err := operator.New(operator.Config{Sources: file.Sources, Tenants: file.Tenants}, operator.Deps{
		Access: who, Routes: slices.Concat(login.Routes(), payloads.Routes(), pages.Routes(), rooms.whole.Routes()), Pages: pages, Tokens: d.reader,
		Reader: d.reader, Blobs: d.bodies, Desk: rooms.decisions, Logger: logger,
		Auditor: d.reader, Failures: d.reader, KeyUse: keys, Secrets: secrets,
		Replays: rooms.many, Editor: rooms.editor,
	})
	if err != nil {
		return nil, nil, err
	}
	return payloads.CORS(console), pages.Close, nil
}
