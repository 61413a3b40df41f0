package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"mailroom/shared/config"
	"mailroom/shared/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lines(t *testing.T, buf *bytes.Buffer) []map[string]any {
	t.Helper()
	var out []map[string]any
	dec := json.NewDecoder(buf)
	for dec.More() {
		var line map[string]any
		require.NoError(t, dec.Decode(&line))
		out = append(out, line)
	}
	return out
}

func TestLoggerWritesJSONLines(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	log := NewLogger(&buf, "warn", "ingress")
	log.Info("unseen")
	email := contract.Email{EventID: "evt_1", CorrelationID: "c-1", Tenant: "default", Source: "mailparse"}
	log.Warn("event.received", append(Attrs(email), "size", 42, "error", errors.New("put body: gone"))...)

	got := lines(t, &buf)
	require.Len(t, got, 1)
	stamp, err := time.Parse(time.RFC3339Nano, got[0]["time"].(string))
	require.NoError(t, err)
	require.Equal(t, time.UTC, stamp.Location())
	delete(got[0], "time")
	require.Equal(t, map[string]any{
		"level": "WARN", "msg": "event.received", "program": "ingress", "event_id": "evt_1", "correlation_id": "c-1",
		"tenant": "default", "source": "mailparse", "size": 42.0, "error": "put body: gone",
	}, got[0])
}

func TestLoggerLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "error": slog.LevelError, "": slog.LevelInfo, "loud": slog.LevelInfo,
	} {
		log := NewLogger(io.Discard, level, "worker")
		require.True(t, log.Enabled(context.Background(), want), level)
		require.False(t, log.Enabled(context.Background(), want-1), level)
	}
}

func TestLoggerShowsNoSecretAndNoMail(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	secret := config.NewSecret("hunter2")
	log := NewLogger(&buf, "debug", "worker").With("authorization", "Bearer hunter2")
	log.Info("secret", "key", secret, "pointer", &secret, "config", config.Env{DatabaseURL: secret},
		"source", config.Source{Secrets: []config.KeyRef{{Key: secret}}}, slog.Group("request", "Subject", "hunter2"))
	log.Info("mail", "subject", "hunter2", "recipient", "hunter2", "filename", "hunter2", "body", []byte("hunter2"),
		"webhook_secret", "hunter2", "operator_token", "hunter2", "S3_PASSWORD", "hunter2")
	TemporalLogger(log).Error("activity failed", "Token", "hunter2", "Error", errors.New("away"))

	text := buf.String()
	require.NotContains(t, text, "hunter2")
	require.NotContains(t, text, "aHVudGVyMg", "base64 of it")
	require.Equal(t, 3, strings.Count(text, "\n"))
	require.Contains(t, text, `"Error":"away"`)
	require.Contains(t, text, `"component":"temporal"`)
}

// metrics starts a server on a free port and returns what GET path answers there.
func metrics(t *testing.T, ready http.Handler) func(method, path string) (int, string) {
	t.Helper()
	reg := NewRegistry()
	handler, shutdown, err := TemporalMetrics(reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	tagged := handler.WithTags(map[string]string{"namespace": "default"})
	tagged.Counter("temporal_request").Inc(3)
	tagged.Timer("temporal_request_latency").Record(20 * time.Millisecond)
	tagged.Gauge("temporal_worker_task_slots_available").Update(7)

	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop := ServeMetrics(ln, reg, slog.New(slog.DiscardHandler), ready)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, stop(context.Background()))
		require.NoError(t, stop(context.Background()), "a second stop is harmless")
		require.NoError(t, shutdown(context.Background()))
	})
	return func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(context.Background(), method, "http://"+ln.Addr().String()+path, nil)
		require.NoError(t, err)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
}

func TestMetricsServer(t *testing.T) {
	t.Parallel()
	ask := metrics(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))

	status, body := ask(http.MethodGet, "/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{
		`temporal_request_total{namespace="default"} 3`,
		`temporal_request_latency_seconds_bucket{namespace="default",le="0.01"} 0`,
		`temporal_request_latency_seconds_bucket{namespace="default",le="0.025"} 1`,
		`temporal_worker_task_slots_available{namespace="default"} 7`,
		"go_goroutines ", "process_resident_memory_bytes ", "go_build_info{", `mailroom_build_info{commit="`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "otel_scope")
	require.NotContains(t, body, "target_info")

	status, _ = ask(http.MethodGet, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	for _, path := range []string{"/", "/debug/pprof/", "/debug/vars"} {
		status, _ = ask(http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ = ask(http.MethodPost, "/metrics")
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

func TestTemporalMetricsSurviveWhatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	reg := NewRegistry()
	handler, shutdown, err := TemporalMetrics(reg, NewLogger(&buf, "info", "worker"))
	require.NoError(t, err)
	handler.Counter("not a name").Inc(1)
	require.Contains(t, buf.String(), "metric.dropped")

	require.NoError(t, shutdown(context.Background()))

	_, _, err = TemporalMetrics(full{}, slog.New(slog.DiscardHandler))
	require.EqualError(t, err, "register temporal metrics: cannot register the collector: full")
}

// full is a registry that takes nothing.
type full struct{ prometheus.Registerer }

func (full) Register(prometheus.Collector) error { return errors.New("full") }

func TestStopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop := ServeMetrics(ln, NewRegistry(), slog.New(slog.DiscardHandler), slow)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		resp, err := http.Get("http://" + ln.Addr().String() + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, stop(ctx), context.Canceled)
	close(leave)
	<-asked
}
