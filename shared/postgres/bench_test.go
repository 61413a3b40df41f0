package postgres_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// randomBody returns n bytes of text that is not JSON.
func randomBody(n int) []byte {
	const letters = `abcdefghijklmnopqrstuvwxyz {}":,0123456789`
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return b
}

// BenchmarkAccept reports events per second with bodies of 4 KB, two batches in
// flight.
func BenchmarkAccept(b *testing.B) {
	for _, size := range []int{16, 64, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			db := pgtest.New(b)
			body := randomBody(4 << 10)
			hash := sha256.Sum256(body)
			run := rand.Uint64()
			b.SetParallelism(1)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				worker := rand.Uint64()
				for n := 0; pb.Next(); n++ {
					batch := make([]postgres.Acceptance, size)
					for i := range batch {
						id := fmt.Sprintf("evt_%x_%x_%d_%d", run, worker, n, i)
						batch[i] = postgres.Acceptance{
							Source: contract.FirstSource, EventID: id, WorkflowID: id, Tenant: "default",
							CorrelationID: id, BodySHA256: hash, Size: int64(len(body)), ReceivedAt: time.Now(),
							Body: body, Claim: true,
						}
					}
					got, err := db.Accept(b.Context(), batch, time.Minute)
					if err != nil || got[0].Outcome != postgres.Inserted {
						b.Errorf("accept: %v %v", got, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSteps is what a worker does to the database for one email with one attachment.
func BenchmarkSteps(b *testing.B) {
	db := pgtest.New(b)
	body := randomBody(4 << 10)
	hash := sha256.Sum256(body)
	ctx := b.Context()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprintf("evt_%x", rand.Uint64())
			got, err := db.Accept(ctx, []postgres.Acceptance{{
				Source: contract.FirstSource, EventID: id, WorkflowID: id, Tenant: "default", CorrelationID: id,
				BodySHA256: hash, Size: int64(len(body)), ReceivedAt: time.Now(), Body: body, Claim: true,
			}}, time.Minute)
			require.NoError(b, err)
			email := got[0].Row.Email
			require.NoError(b, db.MarkStarted(ctx, []int64{email.ID}))
			_, err = db.Body(ctx, email.ID)
			require.NoError(b, err)
			list := []mail.Attachment{{Filename: "a.pdf", ContentType: "application/pdf", Key: "k", Size: 30000, SHA256: "ab"}}
			require.NoError(b, db.SaveManifest(ctx, ledger.Manifest{
				EmailID: email.ID, RawKey: "r", Message: body[:2000], MessageID: "<m@x>", Subject: "s", Sender: "a@b",
				Recipients: []string{"c@d"}, Attachments: list,
			}))
			_, err = db.Manifest(ctx, email.ID)
			require.NoError(b, err)
			list[0].DetectedType, list[0].Verdict = "application/pdf", mail.Clean
			require.NoError(b, db.SaveVerdicts(ctx, email.ID, list))
			require.NoError(b, db.SaveDelivery(ctx, ledger.Delivery{
				EmailID: email.ID, Destination: "ticketing", State: ledger.Delivered, IdempotencyKey: "mr_1", Attempts: 1,
				LastStatus: 200, DeliveredAt: time.Now(),
			}))
			require.NoError(b, db.Record(ctx, contract.RecordInput{
				Email: email, Sequence: 1, State: contract.Delivered, AtUnixMilli: time.Now().UnixMilli(),
			}))
		}
	})
}
