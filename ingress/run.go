package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/operator"
	"mailroom/ingress/source"
	"mailroom/ingress/webhook"
	"mailroom/shared/postgres"
	"mailroom/shared/program"
)

// Run serves webhooks, the operator listener and metrics until ctx is done. It starts
// while the database, Temporal or the object store is unavailable; a pending migration,
// a port that is taken or a configuration that contradicts itself is an error.
func Run(ctx context.Context, c program.Config) (err error) {
	if err := Check(c); err != nil {
		return err
	}
	sources, err := source.Resolve(c.File)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	p, err := program.New(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	var serving atomic.Pointer[webhook.Server]
	if err := p.ServeMetrics(ctx, readyOf(&serving)); err != nil {
		return err
	}
	d, err := open(ctx, p)
	if err != nil {
		return err
	}
	l, err := newListeners(p, sources, d)
	if err != nil {
		return err
	}
	serving.Store(l.receiver.server)

	err = d.ledger.check(ctx)
	if err != nil && !program.Unavailable(err) {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if err != nil {
		group.Go(func() error { return unlessDone(ctx, d.ledger.await(ctx, p)) })
	}
	group.Go(func() error { return unlessDone(ctx, p.Await(ctx, "buckets", d.bodies.EnsureBuckets)) })
	if err := l.listen(ctx, p, group); err != nil {
		return err
	}
	p.Serving()
	return group.Wait()
}

// unlessDone returns err, or nil after ctx is done: a stop ends the wait for a
// dependency and is no failure.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readyOf answers /readyz of the metrics listener, which is not for the public: which
// dependencies are unavailable and how much waits, once there is a server.
func readyOf(serving *atomic.Pointer[webhook.Server]) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := serving.Load(); s != nil {
			s.ServeReadyDetails(w, r)
			return
		}
		webhook.ServeStarting(w, r)
	})
}

// listeners are what answers on the public and on the operator's addresses.
type listeners struct {
	receiver  *receiver
	operators *operator.Listener
	failures  *authlog.Recorder
	keys      *authlog.KeyUse
	uses      authlog.UseStore
	addresses []address
}

// newListeners wires the public listener and the operator's.
func newListeners(p *program.Program, sources []*source.Source, d dependencies) (l *listeners, err error) {
	l = &listeners{}
	if l.addresses, err = addresses(p.Env, p.File); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}

	public := webhook.Config{Sources: sources, SpoolDir: p.Env.SpoolDir, Ingress: p.File.Ingress}
	if c := p.File.Ingress.TLS; c.Certificate != "" {
		if public.Certificate, err = guard.OpenCertificate(c, p.Logger); err != nil {
			return nil, fmt.Errorf("configuration: ingress.%w", err)
		}
		public.TLSAddress = p.Env.Listen
		p.OnClose(func(context.Context) error { return public.Certificate.Close() })
	}
	if err := p.Register(certificateMetrics{public.Certificate}); err != nil {
		return nil, err
	}

	l.failures, err = authlog.New(authlog.Config{Keep: p.File.Ingress.KeepFailures},
		authlog.Deps{Store: postgres.NewAuthFailures(d.reader), Logger: p.Logger})
	if err != nil {
		return nil, err
	}
	l.keys, l.uses = authlog.NewKeyUse(p.File.Sources), postgres.NewUsedSecrets(d.reader)
	if err := p.Register(l.keys); err != nil {
		return nil, err
	}

	if l.receiver, err = newReceiver(public, d, l.failures, l.keys, p); err != nil {
		return nil, err
	}
	server := l.receiver.server
	l.operators, err = operator.New(p.File, operator.Deps{
		Ledger: d.reader, Logins: d.logins, Blobs: d.bodies, Temporal: d.temporal, Keys: p.Keys, Secrets: p.Secrets, KeyUse: l.keys,
		AckSeconds: server.AckSeconds(), Ready: server.ServeReadyDetails, Health: server.Health, Registry: p.Registry, Logger: p.Logger,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ServeHTTP answers on the operator's address.
func (l *listeners) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.receiver.server.NoteProxy(r)
	l.operators.ServeHTTP(w, r)
}
