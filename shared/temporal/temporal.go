// Package temporal makes the options under which every program of ours talks to
// Temporal, so that all of them agree on them.
//
// Invariants: what the TEMPORAL_* variables and the configuration file of the
// temporal command line say holds here too, there are no other names for it; with
// keys, nothing of ours reaches Temporal in the clear but ids, names of workflows,
// activities, signals and the like, types of errors, and search attributes.
package temporal

import (
	"fmt"
	"log/slog"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/protobuf/proto"

	"mailroom/shared/seal"
	"mailroom/shared/telemetry"
)

// reconnect is how Temporal is dialed again. The SDK's own pauses grow to ten seconds,
// and one try may take twenty; when Temporal is back, work goes on within thirty.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 10 * time.Second,
}

// Options reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and their like (default
// 127.0.0.1:7233, namespace default) and adds our logger and metrics, and the
// encryption under keys; metrics may be nil.
func Options(logger *slog.Logger, metrics client.MetricsHandler, keys seal.Keyring) (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	o.Logger = telemetry.TemporalLogger(logger)
	o.MetricsHandler = metrics
	// What we send are keys and states, a few hundred bytes: compressing them
	// costs both sides more than it saves.
	o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithConnectParams(reconnect))
	Protect(&o, keys)
	return o, nil
}

// Protect makes a client encrypt payloads and the texts of failures under keys, and
// decrypt them.
func Protect(o *client.Options, keys seal.Keyring) {
	o.DataConverter = Converter(keys)
	o.FailureConverter = failureConverter{sdk.NewDefaultFailureConverter(sdk.DefaultFailureConverterOptions{
		DataConverter: o.DataConverter, EncodeCommonAttributes: !keys.Empty(),
	})}
}

// failureConverter leaves what it reads as it is. The SDK's own decrypts in place,
// and what it is given is, for a local activity, the marker that goes into the
// history afterwards.
type failureConverter struct{ converter.FailureConverter }

// FailureToError implements converter.FailureConverter.
func (c failureConverter) FailureToError(f *failurepb.Failure) error {
	return c.FailureConverter.FailureToError(proto.CloneOf(f)) //nolint:wrapcheck // it is the error
}
