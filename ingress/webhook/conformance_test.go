package webhook

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/signing"
)

// Each test of this file has a defect that it is known to find: a diff in
// deploy/dev/defects/testdata names it.

// signedAt returns the headers of a request that was signed at a time.
func signedAt(at time.Time, secret, body string) http.Header {
	h := sign([]byte(body))
	stamp := strconv.FormatInt(at.UnixMilli(), 10)
	h.Set(signing.TimestampHeader, stamp)
	h.Set(signing.SignatureHeader, signing.TimestampHMAC(secret, stamp, []byte(body)))
	return h
}

func (d *testIngress) sendWith(t *testing.T, h http.Header, body string) reply {
	t.Helper()
	return d.post(t, h, strings.NewReader(body), int64(len(body)))
}

func rowsOf(t *testing.T, db *pgtest.DB) int {
	t.Helper()
	rows, _, err := db.ListEmails(t.Context(), ledger.Filter{})
	require.NoError(t, err)
	return len(rows)
}

// TestConformsInSequence: a copy that comes later is told that it is one.
func TestConformsInSequence(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := openWithPostgres(t, db)
	for i := range 4 {
		got := d.send(t, mailOf("evt_1"))
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, `{"ok":true,"status":"ok","id":"evt_1","duplicate":`+strconv.FormatBool(i > 0)+`}`, got.body)
	}
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "it is started")
	require.NoError(t, d.stop())
	require.Equal(t, 1, rowsOf(t, db))
	require.Equal(t, []string{"evt_1"}, d.workflows.IDs())
	require.Equal(t, 3, ingresstest.Counted(t, d.server.metrics.duplicates.WithLabelValues("mailparse")))
}

// TestConformsAtABarrier: of copies that come at once one is the first.
func TestConformsAtABarrier(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := openWithPostgres(t, db)
	var fresh, bad atomic.Int64
	barrier := make(chan struct{})
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			<-barrier
			got := d.send(t, mailOf("evt_1"))
			if got.status != http.StatusOK {
				bad.Add(1)
			}
			if strings.Contains(got.body, `"duplicate":false`) {
				fresh.Add(1)
			}
		})
	}
	close(barrier)
	group.Wait()
	require.Zero(t, bad.Load())
	require.Equal(t, int64(1), fresh.Load())
	require.NoError(t, d.stop())
	require.Equal(t, 1, rowsOf(t, db))
}

// TestConformsToCommitBeforeAnswer: while nothing durable has the event there is
// no 2xx, and where nothing durable takes it there never is one.
func TestConformsToCommitBeforeAnswer(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	writing, committing := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(committing) })
	t.Cleanup(release)
	d.ledger.Refuse = func(context.Context, []postgres.Acceptance) error {
		close(writing)
		<-committing
		return nil
	}
	answered := make(chan reply, 1)
	go func() { answered <- d.send(t, mailOf("evt_1")) }()
	select {
	case <-writing:
	case got := <-answered:
		t.Fatalf("answered %d before anything was written", got.status)
	}
	select {
	case got := <-answered:
		t.Fatalf("answered %d before the commit", got.status)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	require.Equal(t, http.StatusOK, (<-answered).status)

	unavailable := openIngress(t)
	unavailable.ledger.Refuse = func(context.Context, []postgres.Acceptance) error { return ingresstest.ErrUnavailable }
	unavailable.workflows.SetAnswer(func(context.Context, string) error { return serviceerror.NewUnavailable("away") })
	for i := range 5 {
		got := unavailable.send(t, mailOf("evt_"+strconv.Itoa(i)))
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		require.NotEmpty(t, got.header.Get("Retry-After"))
	}
	require.Zero(t, unavailable.ledger.Size())
}

// TestConformsToRawBytes: what is signed is the bytes, not what they mean.
func TestConformsToRawBytes(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	odd := "{\n\t\"recipient\" : [ \"support\\u0040yourapp.example\" ],\r\n  \"event_id\":\"evt_1\", \"size\": 1.0e1, \"html\":\"<b>\\/\" }\n"
	require.Equal(t, http.StatusOK, d.send(t, odd).status, "white space, order and escapes are the sender's")
	require.Equal(t, odd, string(d.ledger.Rows[0].Body))

	compact := mailOf("evt_2")
	for name, altered := range map[string]string{
		"white space":  strings.Replace(compact, `":`, `": `, 1),
		"a line break": compact + "\n",
		"an escape":    strings.Replace(compact, "@", `\u0040`, 1),
	} {
		got := d.sendWith(t, sign([]byte(compact)), altered)
		require.Equal(t, http.StatusUnauthorized, got.status, name)
	}
	require.Equal(t, 1, d.ledger.Size())
}

// TestConformsToAge: a signature that is too old or not yet valid is none.
func TestConformsToAge(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for _, shift := range []time.Duration{-6 * time.Minute, 6 * time.Minute, -24 * time.Hour} {
		body := mailOf("evt_refused")
		got := d.sendWith(t, signedAt(time.Now().Add(shift), testSecret, body), body)
		require.Equal(t, http.StatusUnauthorized, got.status, shift)
	}
	d.requireNothing(t)
}

// TestConformsToSignature: without a secret of the source there is no way in.
func TestConformsToSignature(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	body := mailOf("evt_refused")
	for _, secret := range []string{"", "another", testSecret + " "} {
		require.Equal(t, http.StatusUnauthorized, d.sendWith(t, signedAt(time.Now(), secret, body), body).status, "%q", secret)
	}
	unsigned := sign([]byte(body))
	unsigned.Del(signing.SignatureHeader)
	require.Equal(t, http.StatusUnauthorized, d.sendWith(t, unsigned, body).status)
	d.requireNothing(t)
}

// TestConformsToOneStart: a repeat starts nothing, not even what Temporal would
// refuse to start.
func TestConformsToOneStart(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for range 10 {
		require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
	}
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 1 }, "it is started")
	require.NoError(t, d.stop())
	require.Equal(t, []string{"evt_1"}, d.workflows.IDs())
}

// TestConformsInAnyOrder: what was signed first may come last.
func TestConformsInAnyOrder(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for i := range 5 {
		body := mailOf("evt_" + strconv.Itoa(i))
		got := d.sendWith(t, signedAt(time.Now().Add(-time.Duration(i)*time.Minute/2), testSecret, body), body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Contains(t, got.body, `"duplicate":false`)
	}
	require.Equal(t, 5, d.ledger.Size())
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 5 }, "all are started")
}

// TestConformsToSilence: neither secrets nor mail turn up in logs, metrics or answers.
func TestConformsToSilence(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	body := mailOf("evt_1")
	good := sign([]byte(body))
	forged := signedAt(time.Now(), "another secret", body)
	require.Equal(t, http.StatusOK, d.sendWith(t, good, body).status)
	require.Equal(t, http.StatusUnauthorized, d.sendWith(t, forged, body).status)
	require.Equal(t, http.StatusBadRequest, d.send(t, `{"event_id":"evt_2","subject":"a secret subject"`).status)
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 1 }, "it is started")
	require.NoError(t, d.stop())
	families, err := d.registry.Gather()
	require.NoError(t, err)
	text := d.log.String()
	for _, f := range families {
		text += f.String()
	}
	require.Contains(t, text, "event.received")
	for _, trace := range []string{
		testSecret, "another secret", "secret subject", "yourapp.example", "support@",
		good.Get(signing.SignatureHeader), forged.Get(signing.SignatureHeader), signing.SignatureHeader,
	} {
		require.False(t, strings.Contains(strings.ToLower(text), strings.ToLower(trace)), "%q is in the log or in the metrics", trace)
	}
}

// TestConformsToStartBeforeMark: an email whose start fails is started later,
// because nothing says yet that it was.
func TestConformsToStartBeforeMark(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := &testIngress{bodies: &ingresstest.Bodies{}, workflows: &ingresstest.Workflows{}}
	var tries, starts atomic.Int64
	d.workflows.SetAnswer(func(context.Context, string) error {
		if tries.Add(1) == 1 {
			<-time.After(500 * time.Millisecond) // a mark that was made too early is written by now
			return serviceerror.NewUnavailable("away")
		}
		starts.Add(1)
		return nil
	})
	d.open(t, db, db, db)
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
	require.Eventually(t, func() bool { return starts.Load() == 1 }, ingresstest.Patience/2, 5*time.Millisecond, "it is tried again")
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "and marked")
}

// TestConformsToLostStart: a start whose answer is lost is repeated under the same id.
func TestConformsToLostStart(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	var tries atomic.Int64
	d.workflows.SetAnswer(func(context.Context, string) error {
		if tries.Add(1) == 1 {
			return context.DeadlineExceeded // it was started all the same
		}
		return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
	})
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 1 }, "it is marked")
	require.NoError(t, d.stop())
	require.Equal(t, []string{"evt_1", "evt_1"}, d.workflows.IDs())
}
