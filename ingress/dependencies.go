package ingress

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"

	"mailroom/ingress/accept"
	"mailroom/shared/blob"
	"mailroom/shared/postgres"
	"mailroom/shared/program"
)

const (
	// The operator API has connections of its own, so that a slow question there
	// never keeps an event waiting; and logins have theirs, so that it keeps no
	// operator out.
	acceptConns   = 8
	operatorConns = 4
	loginConns    = 4
	// What an operator asks may take the database operatorLimit, what finds out
	// which operator it is loginLimit.
	operatorLimit = 5 * time.Second
	loginLimit    = 3 * time.Second
	// checkTimeout bounds the look at the database before the ingress serves without it.
	checkTimeout = 3 * time.Second
)

// dependencies are what the server works with. Closing them is Run's business.
type dependencies struct {
	ledger   *database
	chain    *postgres.AuditChain
	reader   *postgres.DB // for what operators ask
	logins   *postgres.DB
	bodies   *blob.Store
	temporal client.Client
}

// open makes the clients and connects to nothing yet.
func open(ctx context.Context, p *program.Program) (dependencies, error) {
	var d dependencies
	options, err := p.TemporalOptions()
	if err != nil {
		return d, err
	}
	if err := d.openStores(ctx, p); err != nil {
		return d, err
	}
	if d.bodies, err = p.OpenObjectStore(); err != nil {
		return d, err
	}

	if d.temporal, err = client.NewLazyClient(options); err != nil {
		return d, fmt.Errorf("make temporal client: %w", err)
	}
	p.OnClose(func(context.Context) error { d.temporal.Close(); return nil })
	return d, nil
}

// openStores makes one pool each for accepting, for operators and for logins.
func (d *dependencies) openStores(ctx context.Context, p *program.Program) error {
	accepting, err := p.OpenDatabase(ctx, postgres.Config{MaxConns: acceptConns})
	if err != nil {
		return err
	}
	d.ledger = &database{DB: accepting, Inbox: postgres.NewInbox(accepting)}
	d.chain = postgres.NewAuditChain(accepting)

	if d.reader, err = p.OpenDatabase(ctx, postgres.Config{MaxConns: operatorConns, StatementTimeout: operatorLimit}); err != nil {
		return err
	}
	d.logins, err = p.OpenDatabase(ctx, postgres.Config{MaxConns: loginConns, StatementTimeout: loginLimit})
	return err
}

// database is the ledger once it is known to be migrated; before that it takes
// nothing, so that events go to Temporal.
type database struct {
	*postgres.DB
	*postgres.Inbox
	migrated atomic.Bool
}

// Accept implements accept.Ledger.
func (d *database) Accept(ctx context.Context, batch []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error) {
	if !d.migrated.Load() {
		return nil, accept.ErrNoDatabase
	}
	return d.Inbox.Accept(ctx, batch, lease)
}

// usable is the readiness of the database.
func (d *database) usable(ctx context.Context) error {
	if !d.migrated.Load() {
		return accept.ErrNoDatabase
	}
	return d.Ping(ctx)
}

// check asks once whether every migration is applied.
func (d *database) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := d.Pending(ctx)
	if err == nil {
		d.migrated.Store(true)
	}
	return err
}

// await waits until the database answers and is migrated.
func (d *database) await(ctx context.Context, p *program.Program) error {
	if err := p.AwaitMigrations(ctx, d.DB); err != nil {
		return err
	}
	d.migrated.Store(true)
	return nil
}

func (d dependencies) temporalHealth(ctx context.Context) error {
	if _, err := d.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("check temporal: %w", err)
	}
	return nil
}
