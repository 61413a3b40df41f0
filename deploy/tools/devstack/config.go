package main

import (
	"context"
	"net"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/primitives"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
	storeName   = "sqlite"
)

// serverConfig returns the configuration of a server whose four services are in this process, as
// `temporal server start-dev` makes it: one history shard, no archive. Only the frontend
// listens where the caller says; its HTTP API, which nothing here uses, has any port.
func serverConfig(o temporalOptions, database *config.SQL) (*config.Config, error) {
	inner, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	frontend := address(reachable(o.ip, string(primitives.FrontendService)), o.port)

	var conf config.Config
	conf.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback}
	conf.Persistence = config.Persistence{
		DefaultStore: storeName, VisibilityStore: storeName, NumHistoryShards: 1,
		DataStores: map[string]config.DataStore{storeName: {SQL: database}},
	}
	conf.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
		ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
			Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend, ClusterID: uuid.NewString(),
		}},
	}
	conf.DCRedirectionPolicy.Policy = "noop"
	conf.PublicClient.HostPort = frontend

	conf.Archival.History.State, conf.Archival.Visibility.State = "disabled", "disabled"
	conf.NamespaceDefaults.Archival.History.State = "disabled"
	conf.NamespaceDefaults.Archival.Visibility.State = "disabled"

	conf.Services = map[string]config.Service{
		string(primitives.FrontendService): {RPC: config.RPC{GRPCPort: o.port, HTTPPort: inner[3], BindOnIP: o.ip}},
		string(primitives.HistoryService):  {RPC: config.RPC{GRPCPort: inner[0], BindOnIP: loopback}},
		string(primitives.MatchingService): {RPC: config.RPC{GRPCPort: inner[1], BindOnIP: loopback}},
		string(primitives.WorkerService):   {RPC: config.RPC{GRPCPort: inner[2], BindOnIP: loopback}},
	}
	return &conf, nil
}

// reachable returns the IP at which this process reaches one of its services.
func reachable(ip, service string) string {
	if service != string(primitives.FrontendService) || net.ParseIP(ip).IsUnspecified() {
		return loopback
	}
	return ip
}

// dynamicConfig returns what `temporal server start-dev` sets, and one partition for each task
// queue: with the default of four, a task may wait in one while the pollers ask the others.
func dynamicConfig() dynamicconfig.Client {
	return dynamicconfig.StaticClient{
		// What was just made is visible at once; each request then reads the database.
		dynamicconfig.MakeKey("system.forceSearchAttributesCacheRefreshOnRead"): true,
		dynamicconfig.MakeKey("system.forceNexusEndpointRefreshOnRead"):         true,
		dynamicconfig.MakeKey("frontend.persistenceMaxQPS"):                     10000,
		dynamicconfig.MakeKey("history.persistenceMaxQPS"):                      45000,

		dynamicconfig.HistoryCacheHostLevelMaxSize.Key():                 8096,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 100,
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():           1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key():          1,
	}
}

// freePorts returns ports on loopback on which no process listens.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address(loopback, 0))
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end: none is drawn twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
