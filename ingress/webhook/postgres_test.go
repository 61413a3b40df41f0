package webhook

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

func openWithPostgres(t *testing.T, db *pgtest.DB) *testIngress {
	t.Helper()
	d := &testIngress{bodies: &ingresstest.Bodies{}, workflows: &ingresstest.Workflows{}}
	d.open(t, db, db, db)
	return d
}

// TestDatabaseKeepsWhatWasAnswered: each event is there once, whole and started,
// however often and however close together it came.
func TestDatabaseKeepsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := openWithPostgres(t, db)
	const events, copies = 40, 5
	var fresh, again atomic.Int64
	var group sync.WaitGroup
	for i := range events {
		for range copies {
			group.Go(func() {
				got := d.send(t, mailOf("evt_"+strconv.Itoa(i)))
				for end := time.Now().Add(ingresstest.Patience); got.status == http.StatusServiceUnavailable && time.Now().Before(end); {
					again.Add(1) // as a provider does, on a machine too busy for the bounds of an answer
					got = d.send(t, mailOf("evt_"+strconv.Itoa(i)))
				}
				require.Equal(t, http.StatusOK, got.status, got.body)
				if strings.Contains(got.body, `"duplicate":false`) {
					fresh.Add(1)
				}
			})
		}
	}
	group.Wait()
	// A commit that takes too long on a busy machine goes on while Temporal is asked
	// too; two copies may then both be told that they are the first, or neither of an
	// event whose first copy was told to come again.
	byWay := d.gathered(t, "mailroom_events_carried_total", string(postgres.Inserted), "mailparse")
	require.InDelta(t, events, fresh.Load(), float64(byWay)+float64(again.Load()))
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "all are started")
	require.NoError(t, d.stop())
	ids := map[string]int{}
	for _, id := range d.workflows.IDs() {
		ids[id]++
	}
	require.Len(t, ids, events)
	for id, n := range ids {
		require.LessOrEqual(t, n, 1+byWay, id)
	}
	mail, err := db.FindEmail(t.Context(), ledger.Lookup{Source: "mailparse", EventID: "evt_7"})
	require.NoError(t, err)
	body, err := db.Body(t.Context(), mail.ID)
	require.NoError(t, err)
	require.Equal(t, mailOf("evt_7"), string(body.Inline))
}

func TestDatabaseNamesLargeBodies(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := openWithPostgres(t, db)
	large := padded("evt_large", inlineMax+1)
	require.Equal(t, http.StatusOK, d.post(t, sign(large), bytes.NewReader(large), -1).status)
	mail, err := db.FindEmail(t.Context(), ledger.Lookup{Source: "mailparse", EventID: "evt_large"})
	require.NoError(t, err)
	body, err := db.Body(t.Context(), mail.ID)
	require.NoError(t, err)
	require.Empty(t, body.Inline)
	require.Equal(t, contract.EventBodyKey(sha256.Sum256(large), "evt_large"), body.Key)
}

// TestRefusedLeavesNoRow goes through every bad request against a real database.
func TestRefusedLeavesNoRow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := openWithPostgres(t, db)
	for name, in := range badInputs() {
		h := sign([]byte(in.body))
		if in.change != nil {
			in.change(h)
		}
		if in.code == "body_too_large" || in.method != "" || in.path != "" {
			continue
		}
		got := d.post(t, h, strings.NewReader(in.body), int64(len(in.body)))
		require.Equal(t, in.status, got.status, name)
	}
	rows, _, err := db.ListEmails(t.Context(), ledger.Filter{})
	require.NoError(t, err)
	require.Empty(t, rows)
}

// TestAnotherIngressStartsTheRest: rows of a process that died behind its answer.
// There are fewer of them than may be ahead of the workers, for here are none.
func TestAnotherIngressStartsTheRest(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const rest = 60 // of 64 that may be ahead
	batch := make([]postgres.Acceptance, rest)
	for i := range batch {
		batch[i] = ingresstest.RowOf("evt_" + strconv.Itoa(i))
		batch[i].Tenant, batch[i].CorrelationID = "default", "c"
		batch[i].BodySHA256[0], batch[i].BodySHA256[1] = byte(i), byte(i>>8)
	}
	_, err := db.Accept(t.Context(), batch, 0)
	require.NoError(t, err)
	require.Equal(t, rest, db.CountInbox(t))
	one, two := openWithPostgres(t, db), openWithPostgres(t, db)
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "all are started")
	require.NoError(t, one.stop())
	require.NoError(t, two.stop())
	require.Len(t, append(one.workflows.IDs(), two.workflows.IDs()...), rest, "each by one of them")
}
