package ingress

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/accept"
	"mailroom/ingress/authlog"
	"mailroom/ingress/dispatch"
	"mailroom/ingress/webhook"
	"mailroom/shared/temporal"
)

// receiver is an event's way from its request to the start of its workflow.
type receiver struct {
	server     *webhook.Server
	accepter   *accept.Accepter
	dispatcher *dispatch.Dispatcher
}

// newReceiver wires what takes webhooks. Nothing runs before serve.
func newReceiver(cfg webhook.Config, d dependencies, failures *authlog.Recorder, keys *authlog.KeyUse,
	reg prometheus.Registerer, logger *slog.Logger) (*receiver, error) {
	memos := temporal.Converter(d.keys)
	dispatcher, err := dispatch.New(cfg.Ingress.Starts, dispatch.Deps{
		Inbox: d.ledger, Workflows: d.temporal, Memos: memos, Registry: reg, Logger: logger,
	})
	if err != nil {
		return nil, err
	}

	fallback, err := accept.NewFallbackStarter(accept.FallbackDeps{
		Workflows: d.temporal, Memos: memos, Sealer: d.keys, Registry: reg, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	accepter, err := accept.New(dispatch.Lease, accept.Deps{Ledger: d.ledger, Fallback: fallback, Claims: dispatcher, Logger: logger})
	if err != nil {
		return nil, err
	}

	server, err := webhook.New(cfg, webhook.Deps{
		Accepter: accepter, Uploader: accept.NewUploader(d.bodies, logger), Starts: dispatcher, Meter: d.ledger, Chain: d.chain,
		Audit: failures, Keys: keys, Registry: reg, Logger: logger,
		Durable:  map[string]webhook.Check{"postgres": d.ledger.usable, "temporal": d.temporalHealth},
		Optional: map[string]webhook.Check{"blob": d.bodies.Ready},
	})
	if err != nil {
		return nil, err
	}
	return &receiver{server: server, accepter: accepter, dispatcher: dispatcher}, nil
}

// serve takes webhooks until ctx is done. Then requests in flight finish, what they
// accepted is committed, starts in flight finish, and the other claims are released.
func (r *receiver) serve(ctx context.Context, listeners ...webhook.Listener) error {
	r.accepter.Start()
	r.dispatcher.Start()

	err := r.server.Serve(ctx, listeners...)

	r.accepter.Stop()
	r.dispatcher.Stop()
	return err
}
