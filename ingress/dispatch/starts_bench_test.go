package dispatch

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/contract"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
	"mailroom/shared/testenv"
)

// BenchmarkStarts compares bare starts of a server, mostStarts in flight, with
// those of a starter that works off an inbox. No worker takes what is started.
func BenchmarkStarts(b *testing.B) {
	tc, err := client.Dial(client.Options{HostPort: testenv.Temporal(b)})
	require.NoError(b, err)
	defer tc.Close()
	const rows = 1500
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			var next atomic.Int64
			var group sync.WaitGroup
			id := uuid.NewString()
			began := time.Now()
			for range mostStarts {
				group.Go(func() {
					for i := next.Add(1); i <= rows; i = next.Add(1) {
						email := contract.Email{WorkflowID: id + strconv.FormatInt(i, 10), Tenant: "default", Source: "mailparse"}
						_, err := tc.ExecuteWorkflow(b.Context(), temporal.EmailOptions(email, [32]byte{}), contract.InboundEmailWorkflow,
							contract.InboundEmailInput{Email: email})
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(rows/time.Since(began).Seconds(), "starts/s")
		}
	})
	b.Run("starter", func(b *testing.B) {
		for b.Loop() {
			db := pgtest.New(b)
			id := uuid.NewString()
			batch := make([]postgres.Acceptance, rows)
			for i := range batch {
				batch[i] = ingresstest.RowOf(id + strconv.Itoa(i))
				batch[i].Tenant, batch[i].CorrelationID = "default", "c"
			}
			_, err := db.Accept(b.Context(), batch, 0)
			require.NoError(b, err)
			s := openStarter(b, db, tc)
			began := time.Now()
			s.Start()
			started := func() int { // a start whose answer came too late is found to be there
				return ingresstest.Counted(b, s.metrics.starts.WithLabelValues(string(startDone))) +
					ingresstest.Counted(b, s.metrics.starts.WithLabelValues(string(startAlready)))
			}
			for started() < rows {
				<-time.After(time.Millisecond)
			}
			b.ReportMetric(rows/time.Since(began).Seconds(), "starts/s")
			s.Stop()
		}
	})
}
