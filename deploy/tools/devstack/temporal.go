package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// temporalOptions are the flags of `devstack temporal`.
type temporalOptions struct {
	ip, uiIP      string
	port, uiPort  int // uiPort 0: no Web UI
	db            string
	synchronous   string // of SQLite: normal survives the end of the process, off too, but not that of the machine
	namespace     string
	attributes    attributes
	codecEndpoint string
	logLevel      string
}

// attributes are search attributes by name.
type attributes map[string]enums.IndexedValueType

func (a attributes) String() string { return "" }

// Set adds one NAME=TYPE, as flag.Value.
func (a attributes) Set(text string) error {
	name, kind, found := strings.Cut(text, "=")
	if !found || name == "" {
		return errors.New("it must be NAME=TYPE")
	}
	for known, value := range enums.IndexedValueType_shorthandValue {
		if value != 0 && strings.EqualFold(kind, known) {
			a[name] = enums.IndexedValueType(value)
			return nil
		}
	}
	return fmt.Errorf("there is no type %q", kind)
}

func parseTemporal(args []string) (temporalOptions, error) {
	o := temporalOptions{attributes: attributes{}}
	flags := flag.NewFlagSet("temporal", flag.ContinueOnError)
	flags.StringVar(&o.ip, "ip", "127.0.0.1", "")
	flags.IntVar(&o.port, "port", 7233, "")
	flags.StringVar(&o.uiIP, "ui-ip", "", "")
	flags.IntVar(&o.uiPort, "ui-port", 0, "")
	flags.StringVar(&o.db, "db", "", "")
	flags.StringVar(&o.synchronous, "synchronous", "normal", "")
	flags.StringVar(&o.namespace, "namespace", "default", "")
	flags.Var(o.attributes, "search-attribute", "")
	flags.StringVar(&o.codecEndpoint, "codec-endpoint", "", "")
	flags.StringVar(&o.logLevel, "log-level", "warn", "")
	if err := parse(flags, args); err != nil {
		return o, err
	}
	if o.uiIP == "" {
		o.uiIP = o.ip
	}
	return o, o.check()
}

func (o temporalOptions) check() error {
	switch codec, err := url.Parse(o.codecEndpoint); {
	case net.ParseIP(o.ip) == nil || net.ParseIP(o.uiIP) == nil:
		return usageError{"temporal: --ip and --ui-ip must be IP addresses"}
	case o.port < 1 || o.port > 65535 || o.uiPort < 0 || o.uiPort > 65535 || o.port == o.uiPort:
		return usageError{"temporal: --port and --ui-port must be two ports"}
	case o.db == "":
		return usageError{"temporal: --db names the file of the database"}
	case o.namespace == "":
		return usageError{"temporal: --namespace must not be empty"}
	case !slices.Contains([]string{"off", "normal", "full", "extra"}, o.synchronous):
		return usageError{"temporal: --synchronous must be off, normal, full or extra"}
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, o.logLevel):
		return usageError{"temporal: --log-level must be debug, info, warn or error"}
	case o.codecEndpoint != "" && (err != nil || codec.Host == ""):
		return usageError{"temporal: --codec-endpoint must be a URL"}
	}
	return nil
}

// runTemporal serves Temporal, and its Web UI if a port is given, until ctx ends.
func runTemporal(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseTemporal(args)
	if err != nil {
		return err
	}
	if err := portsFree(o); err != nil {
		return err
	}
	database, err := openDatabase(o)
	if err != nil {
		return err
	}

	server, err := newServer(o, database)
	if err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("temporal: start: %w", err)
	}
	if err := addAttributes(ctx, o); err != nil {
		return errors.Join(fmt.Errorf("temporal: add search attributes: %w", err), server.Stop())
	}
	_, _ = fmt.Fprintf(stdout, "Temporal %s: %s, data in %s\n", headers.ServerVersion, address(o.ip, o.port), o.db)

	if o.uiPort != 0 {
		ui := newWebUI(o)
		go func() { _ = ui.Start() }() // it ends the process itself when it cannot listen
		defer ui.Stop()
		_, _ = fmt.Fprintf(stdout, "Web UI: http://%s\n", address(o.uiIP, o.uiPort))
	}
	<-ctx.Done()
	return server.Stop()
}

// portsFree names a port in use before anything is written. The servers would end the process
// with many lines.
func portsFree(o temporalOptions) error {
	listeners := []string{address(o.ip, o.port)}
	if o.uiPort != 0 {
		listeners = append(listeners, address(o.uiIP, o.uiPort))
	}
	for _, at := range listeners {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", at)
		if err != nil {
			return fmt.Errorf("temporal: %w: stop what listens there, or name another port", err)
		}
		_ = l.Close()
	}
	return nil
}

func newServer(o temporalOptions, database *config.SQL) (temporal.Server, error) {
	conf, err := serverConfig(o, database)
	if err != nil {
		return nil, err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range conf.Services {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(address(reachable(o.ip, name), service.RPC.GRPCPort))
	}

	return temporal.NewServer(
		temporal.WithConfig(conf),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Level: o.logLevel}))),
		temporal.WithDynamicConfigClient(dynamicConfig()),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
	)
}

// addAttributes adds the search attributes that a namespace from before does not have.
func addAttributes(ctx context.Context, o temporalOptions) error {
	to := address(reachable(o.ip, string(primitives.FrontendService)), o.port)
	conn, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	operator := operatorservice.NewOperatorServiceClient(conn)
	known, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: o.namespace}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}

	missing := maps.Clone(o.attributes)
	maps.DeleteFunc(missing, func(name string, _ enums.IndexedValueType) bool {
		_, found := known.GetCustomAttributes()[name]
		return found
	})
	if len(missing) == 0 {
		return nil
	}
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: o.namespace, SearchAttributes: missing})
	return err
}

func address(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }
