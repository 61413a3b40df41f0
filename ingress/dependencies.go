package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/accept"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
	"mailroom/shared/telemetry"
	"mailroom/shared/temporal"
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
	// What is away at the start is looked for again and again.
	checkTimeout  = 3 * time.Second
	startUpPause  = time.Second
	bucketTimeout = 5 * time.Second
	bucketPause   = 5 * time.Second
)

// dependencies are what the server works with. Closing them is Run's business.
type dependencies struct {
	ledger   *database
	chain    *postgres.AuditChain
	reader   *postgres.DB // for what operators ask
	logins   *postgres.DB
	bodies   *blob.Store
	temporal client.Client
	keys     seal.Keyring
}

// open makes the clients; it connects to nothing that it would have to wait for.
func open(ctx context.Context, env config.Env, keys seal.Keyring, reg prometheus.Registerer, logger *slog.Logger, closing *closers,
) (dependencies, error) {
	d := dependencies{keys: keys}
	handler, stop, err := telemetry.TemporalMetrics(reg, logger)
	if err != nil {
		return d, err
	}
	closing.add(stop)

	if err := d.openStores(ctx, env, closing); err != nil {
		return d, err
	}

	d.bodies, err = blob.New(blob.Config{
		Endpoint: env.S3Endpoint, PublicEndpoint: env.S3Public, Region: env.S3Region,
		AccessKey: env.S3AccessKey, SecretKey: env.S3SecretKey,
		RawBucket: env.RawBucket, AttachmentsBucket: env.AttachmentsBucket,
	})
	if err != nil {
		return d, err
	}

	options, err := temporal.Options(logger, handler, keys)
	if err != nil {
		return d, err
	}
	if d.temporal, err = client.NewLazyClient(options); err != nil {
		return d, fmt.Errorf("make temporal client: %w", err)
	}
	closing.addPlain(d.temporal.Close)
	return d, nil
}

// openStores makes a pool for each of what comes in, operators and logins.
func (d *dependencies) openStores(ctx context.Context, env config.Env, closing *closers) error {
	var pools [3]*postgres.DB
	for i, c := range []postgres.Config{
		{MaxConns: acceptConns},
		{MaxConns: operatorConns, StatementTimeout: operatorLimit},
		{MaxConns: loginConns, StatementTimeout: loginLimit},
	} {
		db, err := postgres.Open(ctx, env.DatabaseURL.Reveal(), c)
		if err != nil {
			return err
		}
		closing.addPlain(db.Close)
		pools[i] = db
	}

	d.ledger = &database{DB: pools[0], Inbox: postgres.NewInbox(pools[0])}
	d.chain = postgres.NewAuditChain(pools[0])
	d.reader, d.logins = pools[1], pools[2]
	return nil
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

// away reports whether the database could not be asked, which time may cure.
func away(err error) bool {
	return fault.Is(err, fault.StorageUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// check looks once. A migration that is pending is an error; away is not.
func (d *database) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := d.Pending(ctx)
	if err == nil {
		d.migrated.Store(true)
	}
	return err
}

// await looks until the database is there, migrated, or ctx is done, which is no
// error.
func (d *database) await(ctx context.Context, logger *slog.Logger) error {
	for told := false; ; told = true {
		err := d.check(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !away(err) {
			return err
		}
		if !told {
			logger.Warn("ingress.waits_for_database", slog.Any("error", err))
		}
		if !pause(ctx, startUpPause) {
			return nil
		}
	}
}

// prepare makes the buckets where that is allowed, as soon as the object store is
// there; /readyz tells while it is not.
func (d dependencies) prepare(ctx context.Context, logger *slog.Logger) {
	for told := false; ; told = true {
		attempt, cancel := context.WithTimeout(ctx, bucketTimeout)
		err := d.bodies.EnsureBuckets(attempt)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if !told {
			logger.Warn("ingress.buckets", slog.Any("error", err))
		}
		if !pause(ctx, bucketPause) {
			return
		}
	}
}

// pause waits, and is false when ctx is done before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (d dependencies) temporalHealth(ctx context.Context) error {
	if _, err := d.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("check temporal: %w", err)
	}
	return nil
}
