package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/deploy/dev/process"
)

// Database, user and password of the private cluster. It listens on loopback and
// holds what development and tests put there.
const (
	pgDatabase = "mailroom"
	pgUser     = "mailroom"
	pgPassword = "mailroom"
)

func postgresURL(port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(pgUser, pgPassword), Host: process.Loopback(port),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// postgresService is a private cluster. PostgreSQL refuses to run as root: under root, an
// unprivileged user runs it in a folder that this user can reach.
func postgresService(s *Stack) process.Service {
	var c cluster
	port := s.opt.Ports.Postgres
	return process.Service{
		Name: Postgres, Ports: []int{port}, Where: process.Loopback(port),
		Patience: time.Minute, Stop: syscall.SIGINT, Grace: 20 * time.Second, // SIGINT: fast shutdown, see postgres(1)
		Prepare: func(ctx context.Context) (err error) {
			c, err = newCluster(ctx, s)
			if err != nil {
				return err
			}
			return c.init(ctx)
		},

		Command: func() (process.Command, error) {
			settings := []string{
				"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200",
				"log_min_messages=warning", "log_checkpoints=off", "log_line_prefix=%m ",
			}
			if s.opt.Throwaway {
				settings = append(settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0", "jit=off")
			}
			args := []string{"-D", c.data(), "-p", fmt.Sprint(port)}
			for _, setting := range settings {
				args = append(args, "-c", setting)
			}
			return process.Command{Path: filepath.Join(c.bin, "postgres"), Args: args, Env: pgVars(c.bin).List(), Dir: c.dir, As: c.as}, nil
		},
		Ready: func(ctx context.Context) error { return ensureDatabase(ctx, postgresURL(port, "postgres"), pgDatabase) },
	}
}

// cluster is where a cluster is and which user runs it.
type cluster struct {
	bin string // folder of postgres and initdb
	dir string // owned by the user that runs it
	as  *syscall.Credential
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

func newCluster(ctx context.Context, s *Stack) (cluster, error) {
	c := cluster{dir: filepath.Join(s.opt.Dir, "postgres")}
	if os.Geteuid() == 0 {
		user, err := unprivileged("postgres", "nobody")
		if err != nil {
			return cluster{}, err
		}
		c.as = user
		if !reaches(user, s.opt.Dir) {
			c.dir = elsewhere(s.opt.Dir)
			if !s.opt.Throwaway {
				s.opt.Console.Say("postgres   keeps its data in %s: its user cannot reach %s", c.dir, s.opt.Dir)
			}
			err := s.Change(func(now *process.State) {
				if !slices.Contains(now.Outside, c.dir) {
					now.Outside = append(now.Outside, c.dir)
				}
			})
			if err != nil {
				return cluster{}, err
			}
		}
	}

	if err := ownFolder(c.dir, c.as, s.opt.Caller); err != nil {
		return cluster{}, err
	}
	made, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cluster{}, fmt.Errorf("read PG_VERSION: %w", err)
	}
	tools := Tools{Root: s.opt.Root, Dir: s.opt.Tools, Caller: s.opt.Caller, Console: s.opt.Console}
	chosen := s.opt.Vars.Get("MAILROOM_POSTGRES_BIN")
	if embedded(chosen) && makeLinks(chosen) != nil { // another user has installed it
		if chosen, err = copyPrograms(chosen, c.dir); err != nil {
			return cluster{}, err
		}
	}
	c.bin, err = findPostgres(ctx, strings.TrimSpace(string(made)), chosen, tools)
	if err != nil || c.as == nil || reaches(c.as, c.bin) {
		return c, err
	}
	if !embedded(c.bin) {
		return cluster{}, fmt.Errorf("its user cannot reach the programs in %s: give every user the right to enter it (chmod o+x)", c.bin)
	}
	c.bin, err = copyPrograms(c.bin, c.dir)
	return c, err
}

// init makes the cluster unless it is there. It is made under another name first, so that
// an interrupted one does not look complete.
func (c cluster) init(ctx context.Context) error {
	if dirExists(c.data()) {
		return nil
	}
	fresh := c.data() + ".new"
	password := filepath.Join(c.dir, "password")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	if err := os.WriteFile(password, []byte(pgPassword+"\n"), 0o600); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	defer func() { _ = os.Remove(password) }()

	if c.as != nil {
		if err := os.Chown(password, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return fmt.Errorf("make cluster: %w", err)
		}
	}

	//nolint:gosec // a program found in the usual places
	initdb := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), "-D", fresh, "--username="+pgUser,
		"--pwfile="+password, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Env, initdb.Dir = pgVars(c.bin).List(), c.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	said, err := initdb.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		return errors.New("root may not run it as another user here (the container lacks CAP_SETUID and CAP_SETGID): start as an ordinary user")
	case err != nil && strings.Contains(string(said), "could not look up effective user ID"):
		return fmt.Errorf("user %d has no name, and PostgreSQL wants one: add a line for it to /etc/passwd", os.Geteuid())
	case err != nil:
		return fmt.Errorf("initdb: %w: %s", err, process.Reason(said))
	}
	if err := os.Rename(fresh, c.data()); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	return nil
}

// ensureDatabase creates a database unless it is there.
func ensureDatabase(ctx context.Context, server, name string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" template template0"); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// CheckDatabase returns in one line, without credentials, why a database that another
// server runs cannot be used.
func CheckDatabase(ctx context.Context, databaseURL string) error {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return errors.New("DATABASE_URL is not a PostgreSQL URL: it looks like postgres://user:password@host:5432/database")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("DATABASE_URL is set, but database %s at %s:%d cannot be used (%s): start that server, or unset the variable for a private one",
			config.Database, config.Host, config.Port, firstLine(errors.Unwrap(err)))
	}
	return conn.Close(ctx)
}

// firstLine leaves out what pgx says of the further addresses that it tried.
func firstLine(err error) string {
	if err == nil {
		return "no connection"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
