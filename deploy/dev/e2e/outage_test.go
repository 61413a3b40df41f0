package e2e_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// TestScannerUnavailable: mail waits for the scanner, is held when that lasts, and
// goes on when the scanner has recovered. Nothing leaves unscanned meanwhile.
func TestScannerUnavailable(t *testing.T) {
	t.Parallel()
	var g *gate
	w := newWorldOn(t, func(s *settings) { s.Scan = "15s" }, func(i *stack.Infra) {
		g = newGate(t, i.Clamd)
		i.Clamd = g.addr()
	})
	g.set(refuse)
	attachment := fields{"attachments": []any{attached("a.txt", "text/plain", []byte("harmless"))}}
	waits, isHeld := newID(), newID()
	w.accept(shapeA(waits, "support").with(attachment).json())
	require.Equal(t, "scanner_unavailable", w.until(waits, "retrying").Reason)
	require.Empty(t, w.effects(waits))
	g.set(pass)
	w.until(waits, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(waits))

	g.set(refuse)
	w.accept(shapeA(isHeld, "support").with(attachment).json())
	require.Equal(t, "scanner_unavailable", w.until(isHeld, "quarantined").Reason)
	require.Empty(t, w.effects(isHeld))
	g.set(pass)
	w.decide(isHeld, "retry")
	w.until(isHeld, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(isHeld))
}

// TestDestinationDownForAWhile: the breaker opens, attempts are not burned while
// it is open, and delivery follows when the destination has recovered.
func TestDestinationDownForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/away", "status": 503})
	ids := make([]string, 12)
	for i := range ids {
		ids[i] = newID()
		w.accept(shapeA(ids[i], "away").json())
	}
	for _, id := range ids {
		e := w.until(id, "retrying")
		require.Equal(t, "downstream_unavailable", e.Reason)
	}
	testenv.Eventually(t, func() bool {
		return metricOf(w, stack.Worker, `mailroom_delivery_breaker_state{destination="away",state="open"}`) == "1"
	}, patience, tick, "the breaker opens")
	testenv.Eventually(t, func() bool { return w.calls("/away") >= 6 }, patience, tick, "it probes")
	// Three failures open it and then one probe is let through every two seconds:
	// were the attempts burned, the destination would see far more calls.
	require.Less(t, w.calls("/away"), 3*len(ids))
	w.clear("/away")
	attempts := 0
	for _, id := range ids {
		e := w.until(id, "delivered")
		require.Equal(t, map[string]int{"/away": 1}, w.effects(id))
		attempts += e.Deliveries[0].Attempts
	}
	require.Equal(t, w.calls("/away"), attempts, "an attempt is a call that was made")
}

// TestDestinationActsAndResets: the repeat has the same key.
func TestDestinationActsAndResets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/reset", "drop": "after", "count": 2})
	id := newID()
	w.accept(shapeA(id, "reset").json())
	e := w.until(id, "delivered")
	require.Equal(t, 3, e.Deliveries[0].Attempts)
	require.Equal(t, map[string]int{"/reset": 1}, w.effects(id))
	require.Equal(t, 3, w.calls("/reset"))
}

// calls counts the requests that a path of the sink has seen.
func (w *world) calls(path string) int {
	w.t.Helper()
	var report struct {
		Paths map[string]struct {
			Received int `json:"received"`
		} `json:"paths"`
	}
	w.sink(http.MethodGet, "/effects?limit=0", nil, &report)
	return report.Paths[path].Received
}

// TestWorkerRestarts: a held email and one that is being retried outlive their
// worker, once stopped and once killed.
func TestWorkerRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*world) error{
		"stopped": func(w *world) error { return w.Stop(stack.Worker) },
		"killed":  func(w *world) error { return w.Kill(stack.Worker) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.script(map[string]any{"path": "/away", "status": 503})
			waiting, retrying, ongoing := newID(), newID(), newID()
			w.accept(shapeA(waiting, "careful").json())
			w.accept(shapeA(retrying, "away").json())
			w.until(waiting, "quarantined")
			w.until(retrying, "retrying")
			require.NoError(t, end(w))
			w.accept(shapeA(ongoing, "support").json()) // accepted while no worker lives
			w.clear("/away")
			require.NoError(t, w.Start(t.Context(), stack.Worker))
			began := time.Now()
			w.until(ongoing, "delivered")
			require.Less(t, time.Since(began), 30*time.Second, "progress within 30 s")
			w.decide(waiting, "approve")
			w.until(waiting, "delivered")
			w.until(retrying, "delivered")
			require.Equal(t, map[string]int{"/tickets": 1}, w.effects(waiting))
			require.Equal(t, map[string]int{"/away": 1}, w.effects(retrying))
			require.Equal(t, map[string]int{"/tickets": 1}, w.effects(ongoing))
		})
	}
}

// removeBodies deletes every raw body from the object store.
func (w *world) removeBodies() {
	w.t.Helper()
	endpoint, err := url.Parse(w.infra.S3Endpoint)
	require.NoError(w.t, err)
	c, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(w.infra.S3AccessKey, w.infra.S3SecretKey, ""), Region: "us-east-1",
	})
	require.NoError(w.t, err)
	removed := 0
	for o := range c.ListObjects(w.t.Context(), w.infra.RawBucket, minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(w.t, o.Err)
		require.NoError(w.t, c.RemoveObject(w.t.Context(), w.infra.RawBucket, o.Key, minio.RemoveObjectOptions{}))
		removed++
	}
	require.Positive(w.t, removed)
}

// TestResetFromTheWebUI runs emails again from their first step, as the button
// Reset does: what was delivered is not sent again, and the ledger follows the
// new run.
func TestResetFromTheWebUI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	done, dropped := newID(), newID()
	w.accept(shapeA(done, "support").json())
	w.accept(shapeA(dropped, "nobody").json())
	w.until(done, "delivered")
	w.until(dropped, "quarantined")
	w.decide(dropped, "discard")
	w.until(dropped, "discarded")
	for _, id := range []string{done, dropped} {
		w.run("temporal", "workflow", "reset", "--workflow-id", id, "--type", "FirstWorkflowTask", "--reason", "again")
	}
	w.until(dropped, "quarantined")
	w.decide(dropped, "discard")
	require.Len(t, w.until(dropped, "discarded").Decisions, 2)
	testenv.Eventually(t, func() bool {
		x, err := w.tc.DescribeWorkflowExecution(t.Context(), done, "")
		return err == nil && x.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}, patience, tick)
	require.Equal(t, "delivered", w.email(done).State)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(done))
	require.Equal(t, 1, w.calls("/tickets"), "not even a repeat is sent")
}
