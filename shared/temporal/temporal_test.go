package temporal

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"mailroom/shared/seal"
)

// TestReconnect: after an outage of any length, Temporal is dialed again within seconds
// of its recovery.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := Options(slog.New(slog.DiscardHandler), nil, seal.Keyring{})
		require.NoError(t, err)
		var dialed atomic.Int64
		o.HostPort = "passthrough:///away"
		o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions,
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				dialed.Add(1)
				return nil, errors.New("connection refused")
			}))
		c, err := client.NewLazyClient(o)
		require.NoError(t, err)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.CheckHealth(ctx, nil)
		require.Error(t, err)
		<-time.After(10 * time.Minute)
		for range 20 {
			before := dialed.Load()
			<-time.After(3 * time.Second)
			require.Greater(t, dialed.Load(), before, "Temporal is no longer dialed")
		}
	})
}
