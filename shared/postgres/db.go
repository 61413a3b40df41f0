package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultMaxConns is the size of the pool where Config names none.
const DefaultMaxConns = 16

const (
	connectTimeout = 5 * time.Second
	idleTime       = 5 * time.Minute
)

// Config sizes the pool.
type Config struct {
	// MaxConns bounds the connections; 0 means DefaultMaxConns. A call that finds
	// none free waits for one until its context ends.
	MaxConns int32
	// StatementTimeout is how long the server works on one statement before it stops
	// it, see Stopped; 0: the server's own setting holds.
	StatementTimeout time.Duration
}

// DB is a pool of connections, on which the stores are made. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
}

// Open prepares a pool for url and connects to nothing yet: an unavailable database
// shows at the first use. The caller closes the DB. The error never quotes
// url, which holds a password.
func Open(ctx context.Context, url string, cfg Config) (*DB, error) {
	conf, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("open database: the URL is not a PostgreSQL connection string")
	}

	conf.MaxConns = cfg.MaxConns
	if conf.MaxConns <= 0 {
		conf.MaxConns = DefaultMaxConns
	}

	conf.MaxConnIdleTime = idleTime
	if conf.ConnConfig.ConnectTimeout == 0 {
		conf.ConnConfig.ConnectTimeout = connectTimeout
	}

	if _, named := conf.ConnConfig.RuntimeParams["application_name"]; !named {
		conf.ConnConfig.RuntimeParams["application_name"] = "mailroom"
	}

	conf.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return prepare(ctx, conn, cfg.StatementTimeout) }
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, classify("open database", err)
	}

	return &DB{pool: pool}, nil
}

// prepare makes every time that is read a UTC one, whatever zone this machine is in,
// and has the server answer by itself at once: what is asked here is short, and to
// start parallel workers or to compile takes it longer than to answer, 50 ms and
// more on a machine with other work. A limit above 0 ends statements that take longer.
// All is set by a statement because poolers refuse connections that bring settings along.
func prepare(ctx context.Context, conn *pgx.Conn, limit time.Duration) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	settings := "SET max_parallel_workers_per_gather = 0; SET jit = off"
	if limit > 0 {
		settings += "; SET statement_timeout = " + strconv.FormatInt(limit.Milliseconds(), 10)
	}
	_, err := conn.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol)
	return err //nolint:wrapcheck // classified where the connection is used
}

// Close waits for the calls in flight and closes every connection.
func (db *DB) Close() { db.pool.Close() }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return classify("ping database", db.pool.Ping(ctx))
}
