// Package temporal makes the options under which every program of ours talks to
// Temporal, so that all of them agree on them.
//
// Invariant: what the TEMPORAL_* variables and the configuration file of the
// temporal command line say holds here too; there are no other names for it.
package temporal

import (
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"mailroom/shared/telemetry"
)

// Options reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and their like (default
// 127.0.0.1:7233, namespace default) and adds our logger and metrics; metrics
// may be nil.
func Options(logger *slog.Logger, metrics client.MetricsHandler) (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	o.Logger = telemetry.TemporalLogger(logger)
	o.MetricsHandler = metrics
	// What we send are keys and states, a few hundred bytes: compressing them
	// costs both sides more than it saves.
	o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	return o, nil
}
