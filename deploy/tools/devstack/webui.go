package main

import (
	"github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/primitives"
)

// newWebUI returns the Web UI of the server of this process. Only its own pages may call it, it
// calls nothing on the internet, and it sends the operator's session to the codec server: without
// the session that decodes nothing.
func newWebUI(o temporalOptions) *server.Server {
	own := "http://" + address(reachable(o.uiIP, string(primitives.FrontendService)), o.uiPort)
	return server.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		Host: o.uiIP, Port: o.uiPort, EnableUI: true, HideLogs: true, DisableNewsFetch: true,
		TemporalGRPCAddress: address(reachable(o.ip, string(primitives.FrontendService)), o.port),
		DefaultNamespace:    o.namespace,
		CORS:                uiconfig.CORS{AllowOrigins: []string{own}, CookieInsecure: true},
		Codec:               uiconfig.Codec{Endpoint: o.codecEndpoint, IncludeCredentials: true},
	}))
}
