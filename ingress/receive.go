package ingress

import (
	"context"

	"mailroom/ingress/accept"
	"mailroom/ingress/authlog"
	"mailroom/ingress/dispatch"
	"mailroom/ingress/webhook"
	"mailroom/shared/program"
	"mailroom/shared/temporal"
)

// receiver is an event's way from its request to the start of its workflow.
type receiver struct {
	server     *webhook.Server
	accepter   *accept.Accepter
	dispatcher *dispatch.Dispatcher
}

// newReceiver wires what takes webhooks. Nothing runs before serve.
func newReceiver(cfg webhook.Config, d dependencies, failures *authlog.Recorder, keys *authlog.KeyUse, p *program.Program) (*receiver, error) {
	memos := temporal.Converter(p.Keys)
	dispatcher, err := dispatch.New(cfg.Ingress.Starts, dispatch.Deps{
		Inbox: d.ledger, Workflows: d.temporal, Memos: memos, Registry: p.Registry, Logger: p.Logger,
	})
	if err != nil {
		return nil, err
	}

	var names []string
	for _, src := range cfg.Sources {
		names = append(names, src.Name)
	}
	fallback, err := accept.NewFallbackStarter(accept.FallbackDeps{
		Sources: names, Workflows: d.temporal, Memos: memos, Sealer: p.Keys, Registry: p.Registry, Logger: p.Logger,
	})
	if err != nil {
		return nil, err
	}
	accepter, err := accept.New(dispatch.Lease, accept.Deps{Ledger: d.ledger, Fallback: fallback, Claims: dispatcher, Logger: p.Logger})
	if err != nil {
		return nil, err
	}

	server, err := webhook.New(cfg, webhook.Deps{
		Accepter: accepter, Uploader: accept.NewUploader(d.bodies, p.Logger), Starts: dispatcher, Meter: d.ledger, Chain: d.chain,
		Audit: failures, Keys: keys, Registry: p.Registry, Logger: p.Logger,
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
