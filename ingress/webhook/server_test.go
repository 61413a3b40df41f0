package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/ingress/ingresstest"
	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	got := d.do(t, http.MethodGet, "/healthz", nil, nil, 0)
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"ok":true,"status":"alive"}`, got.body)

	ingresstest.Eventually(t, func() bool { return d.server.health.depth.Load() != nil }, "the inbox is measured")
	got = d.do(t, http.MethodGet, "/readyz", nil, nil, 0)
	require.Equal(t, http.StatusOK, got.status, "temporal is not needed to accept")
	require.JSONEq(t, `{"ok":true,"status":"degraded"}`, got.body, "the public learns nothing more")

	// Operators, on the metrics listener.
	w := httptest.NewRecorder()
	d.server.ServeReadyDetails(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"ok":true,"status":"degraded","checks":{"postgres":"ok","temporal":"unavailable"},
		"inbox":{"waiting":0,"oldest_seconds":0,"starts_per_second":0}}`, w.Body.String())
}

func TestReadinessIsCheckedOnceASecond(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var clock atomic.Int64
	failing := errors.New("away")
	h := &health{
		durable: map[string]Check{"postgres": func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				return nil
			}
			asked.Add(1)
			return failing
		}},
		now: func() time.Time { return time.Unix(1000, clock.Load()) },
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			state := h.checkDependencies(t.Context())
			require.False(t, state.OK)
			require.Equal(t, "unready", state.Status)
			require.Equal(t, map[string]string{"postgres": "unavailable"}, state.Checks)
		})
	}
	group.Wait()
	require.Equal(t, int64(1), asked.Load())
	clock.Store(int64(healthFor))
	h.checkDependencies(t.Context())
	require.Equal(t, int64(2), asked.Load())
}

// TestGracefulStop: a request in flight is finished, and /readyz says no at once.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	writing, release := make(chan struct{}), make(chan struct{})
	d.ledger.Refuse = func(context.Context, []postgres.Acceptance) error {
		close(writing)
		<-release
		return nil
	}
	answered := make(chan reply, 1)
	go func() { answered <- d.send(t, mailOf("evt_1")) }()
	<-writing
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	ingresstest.Eventually(t, d.server.health.stopping.Load, "not ready any more")
	select {
	case <-stopped:
		t.Fatal("stopped with a request in flight")
	case got := <-answered:
		t.Fatalf("answered before the commit: %d", got.status)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.Equal(t, http.StatusOK, (<-answered).status)
	require.NoError(t, <-stopped)
	require.Equal(t, 1, d.ledger.Size())
	var dialer net.Dialer
	_, err := dialer.DialContext(t.Context(), "tcp", d.addr)
	require.Error(t, err, "it does not listen any more")
	// Started or given back, never forgotten under a claim.
	require.Equal(t, 1, d.ledger.Count(func(r *ingresstest.Row) bool { return r.Started || !time.Now().Before(r.Until) }))
}

func TestHungStorageIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.workflows.SetAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		d.ledger.Refuse = func(ctx context.Context, _ []postgres.Acceptance) error {
			<-ctx.Done()
			return fault.Wrap(fault.StorageUnavailable, "the database does not answer", ctx.Err())
		}
		began := time.Now()
		got := d.send(t, mailOf("evt_1"))
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Less(t, time.Since(began), 5*time.Second)
		require.NotEmpty(t, got.header.Get("Retry-After"))
		require.Zero(t, d.ledger.Size())
	})
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.server.engine.GET("/panic", func(*gin.Context) { panic("evt_1 and a secret subject") })
	got := d.do(t, http.MethodGet, "/panic", nil, nil, 0)
	require.Equal(t, http.StatusInternalServerError, got.status)
	var answer refusedAnswer
	require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
	require.Equal(t, fault.Internal, answer.Error)
	require.NotContains(t, got.body, "goroutine")
	require.Contains(t, d.log.String(), "ingress.panic")
	require.NotContains(t, d.log.String(), "secret subject")
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status, "it lives on")
}

func TestRefusalsAreSummedUp(t *testing.T) {
	t.Parallel()
	log := &ingresstest.Log{}
	clock := time.Unix(1000, 0)
	r := newRefusals(log.Logger(), func() time.Time { return clock })
	for range 100 {
		r.record("mailparse", fault.SignatureInvalid, netip.MustParseAddr("192.0.2.1"), nil)
	}
	r.record("mailparse", fault.TimestampStale, netip.MustParseAddr("192.0.2.2"), nil)
	require.Equal(t, 2, strings.Count(log.String(), "event.refused"))
	clock = clock.Add(refusalEvery)
	r.record("mailparse", fault.SignatureInvalid, netip.MustParseAddr("192.0.2.3"), nil)
	require.Contains(t, log.String(), `"source":"mailparse","code":"signature_invalid","count":100,"remote":"192.0.2.3"`)
}

type (
	noAccepter struct{}
	noUploader struct{}
	noStarts   struct{}
)

func (noAccepter) Accept(context.Context, postgres.Acceptance) (postgres.Accepted, error) {
	return postgres.Accepted{}, ingresstest.ErrUnavailable
}
func (noUploader) Upload(context.Context, string, *io.SectionReader) error {
	return ingresstest.ErrUnavailable
}
func (noStarts) PerSecond() float64 { return 0 }

func TestNewChecksWhatItIsGiven(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	good := Deps{
		Accepter: noAccepter{}, Uploader: noUploader{}, Starts: noStarts{}, Meter: ledger, Chain: &fakeChain{},
		Audit: &failures{}, Keys: noKeys{}, Registry: prometheus.NewRegistry(), Logger: (&ingresstest.Log{}).Logger(),
		Durable: map[string]Check{"postgres": func(context.Context) error { return nil }},
	}
	_, err := New(Config{}, Deps{})
	require.ErrorContains(t, err, "Accepter is missing")
	_, err = New(Config{}, good)
	require.ErrorContains(t, err, "no source")
	_, err = New(Config{Sources: []*source.Source{{Name: "a", Path: "/x"}, {Name: "b", Path: "/x"}}}, good)
	require.ErrorContains(t, err, "source b: path /x is taken")
}

// TestAuditSeqIsShownOnceRead: a gauge that began at zero would say of each restart
// that the chain was cut off.
func TestAuditSeqIsShownOnceRead(t *testing.T) {
	t.Parallel()
	reg, chain := prometheus.NewRegistry(), &fakeChain{err: errors.New("away")}
	m, err := newMetrics(reg)
	require.NoError(t, err)
	h := &health{
		chain: chain, inbox: &ingresstest.Ledger{}, metrics: m, now: time.Now, backpressure: guard.NewBackpressure(config.Backpressure{}),
		starts: noStarts{},
	}
	seq := func() []float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "mailroom_audit_seq" {
				return []float64{f.GetMetric()[0].GetGauge().GetValue()}
			}
		}
		return nil
	}
	h.measureInbox(t.Context())
	require.Nil(t, seq())
	chain.err, chain.head.Seq = nil, 1042
	h.measureInbox(t.Context())
	require.Equal(t, []float64{1042}, seq())
	chain.err = errors.New("away")
	h.measureInbox(t.Context())
	require.Equal(t, []float64{1042}, seq(), "what was known last")
}

func TestMetricNames(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.send(t, mailOf("evt_1"))
	d.do(t, http.MethodGet, "/anything/"+strconv.Itoa(7), nil, nil, 0)
	ingresstest.Eventually(t, func() bool { return d.server.health.depth.Load() != nil }, "the ledger is measured")
	families, err := d.registry.Gather()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				require.NotContains(t, l.GetValue(), "evt_")
				require.NotContains(t, l.GetValue(), "anything")
			}
		}
	}
	for _, name := range []string{
		"mailroom_http_requests_total", "mailroom_ack_seconds", "mailroom_events_accepted_total", "mailroom_duplicates_total",
		"mailroom_refused_total", "mailroom_verifications_total", "mailroom_inbox_waiting", "mailroom_inbox_oldest_seconds",
		"mailroom_starts_total", "mailroom_start_seconds", "mailroom_starts_in_flight", "mailroom_audit_seq",
	} {
		require.True(t, names[name], name)
	}
}
