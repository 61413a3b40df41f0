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

// reconnect bounds the pauses between tries to connect. The SDK's own grow to ten
// seconds, and one try may take twenty: after an outage work would resume only within
// thirty seconds.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 10 * time.Second,
}

// Options reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other TEMPORAL_* variables
// (default 127.0.0.1:7233, namespace default), and adds logger, metrics and encryption
// with keys. metrics may be nil.
func Options(logger *slog.Logger, metrics client.MetricsHandler, keys seal.Keyring) (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	o.Logger = telemetry.TemporalLogger(logger)
	o.MetricsHandler = metrics
	// Messages are keys and states of a few hundred bytes: compression costs both
	// sides more than it saves.
	o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithConnectParams(reconnect))
	Protect(&o, keys)
	return o, nil
}

// Protect makes a client encrypt and decrypt payloads and the texts of failures with
// keys.
func Protect(o *client.Options, keys seal.Keyring) {
	o.DataConverter = Converter(keys)
	o.FailureConverter = failureConverter{sdk.NewDefaultFailureConverter(sdk.DefaultFailureConverterOptions{
		DataConverter: o.DataConverter, EncodeCommonAttributes: !keys.Empty(),
	})}
}

// failureConverter does not change the failure that it reads. The SDK's own decrypts in
// place; for a local activity, that failure is the marker that is then written to the
// history.
type failureConverter struct{ converter.FailureConverter }

// FailureToError implements converter.FailureConverter.
func (c failureConverter) FailureToError(f *failurepb.Failure) error {
	return c.FailureConverter.FailureToError(proto.CloneOf(f)) //nolint:wrapcheck // it is the error
}
