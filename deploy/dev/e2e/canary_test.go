package e2e_test

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/contract"
	"mailroom/shared/signing"
	"mailroom/shared/temporal"
)

// canaries are texts that must not turn up anywhere but where they belong.
var canaries = []string{webhookSecret, rotatedSecret, operatorToken, canarySubject, canaryText, canaryLocal, canaryFile, "mailroom-dev-secret"}

// TestNothingLeaks sends mail full of canaries down every kind of path and greps
// what is written about it: logs at debug level, metrics, histories, visibility,
// and the process list.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/rejecting", "status": 422, "count": 1})
	canary := []byte(canaryText + " " + canaryFile)
	sent := map[string]string{}
	send := func(state string, f func(id string) fields) {
		id := newID()
		w.accept(f(id).json())
		sent[id] = state
	}
	lies := attached(canaryFile, "text/plain", canary)
	lies["size"] = 3
	send("delivered", func(id string) fields {
		return shapeA(id, "support").with(fields{"attachments": []any{attached(canaryFile, "text/plain", canary)}})
	})
	send("quarantined", func(id string) fields { return shapeA(id, "support").with(fields{"attachments": []any{lies}}) })
	send("quarantined", func(id string) fields { return shapeA(id, "nobody") })
	send("quarantined", func(id string) fields { return shapeA(id, "rejecting") })
	for id, state := range sent {
		w.until(id, state)
		w.run("mailctl", "emails", "get", id)
	}
	refused := w.refuse(newID())
	for _, program := range []string{stack.Ingress, stack.Worker} {
		log, err := os.ReadFile(w.LogFile(program))
		require.NoError(t, err)
		require.NotEmpty(t, log)
		clean(t, program+" log", log)
		require.NotContains(t, string(log), refused, "no per-id line of a refused request")
		clean(t, program+" metrics", []byte(w.metrics(program)))
	}
	payloads := 0
	all, err := w.tc.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: w.infra.TemporalNamespace, Query: "WorkflowType = '" + contract.InboundEmailWorkflow + "'",
	})
	require.NoError(t, err)
	require.Len(t, all.GetExecutions(), len(sent), "a refused request starts nothing")
	for _, x := range all.GetExecutions() {
		clean(t, "visibility", encoded(t, x))
		onlyCiphertext(t, x)
		events := w.tc.GetWorkflowHistory(t.Context(), x.GetExecution().GetWorkflowId(), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			require.NoError(t, err)
			b, err := proto.Marshal(e) // payloads are bytes here, not base64
			require.NoError(t, err)
			clean(t, "history", b)
			payloads += onlyCiphertext(t, e)
		}
	}
	require.Greater(t, payloads, 4*len(sent))
	require.Equal(t, http.StatusNotFound, w.api(http.MethodGet, "/emails/"+refused, nil, nil))
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range lines {
		if line, err := os.ReadFile(f); err == nil { // a process may have ended meanwhile
			clean(t, "process list", line)
		}
	}
}

// onlyCiphertext sees that every payload of a message is encrypted, and every text
// of a failure, and counts them. Search attributes cannot be.
func onlyCiphertext(t *testing.T, m proto.Message) int {
	t.Helper()
	seen := 0
	err := proxy.VisitPayloads(t.Context(), m, proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, p := range payloads {
				seen++
				require.Equal(t, temporal.Encrypted, string(p.GetMetadata()["encoding"]), "%s in %s", p, m)
			}
			return payloads, nil
		},
	})
	require.NoError(t, err)
	err = proxy.VisitFailures(t.Context(), m, proxy.VisitFailuresOptions{
		Visitor: func(_ *proxy.VisitFailuresContext, f *failurepb.Failure) error {
			seen++
			require.Equal(t, "Encoded failure", f.GetMessage(), "%s", m)
			require.Empty(t, f.GetStackTrace())
			return nil
		},
	})
	require.NoError(t, err)
	return seen
}

// refuse posts an event whose signature is wrong.
func (w *world) refuse(id string) string {
	w.t.Helper()
	a, err := w.call(w.t.Context(), shapeA(id, "support").json(), func(h http.Header) {
		h.Set(signing.SignatureHeader, strings.Repeat("ab", 32))
	})
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusUnauthorized, a.Status)
	return id
}

func clean(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, c := range canaries {
		if i := bytes.Index(text, []byte(c)); i >= 0 {
			t.Fatalf("%s holds %q: %s", where, c, text[max(0, i-200):min(len(text), i+100)])
		}
	}
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	require.NoError(t, err)
	return b
}

func (w *world) metrics(program string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.MetricsURL(program), nil)
	require.NoError(w.t, err)
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	require.NoError(w.t, err)
	return b.String()
}

// metricOf returns the value of one series, or "".
func metricOf(w *world, program, series string) string {
	lines := bufio.NewScanner(strings.NewReader(w.metrics(program)))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			return v
		}
	}
	return ""
}

// TestMetricsAreThere looks for every family that operations rely on.
func TestMetricsAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := newID()
	w.accept(shapeA(id, "support").json())
	w.post(shapeA(id, "support").json())
	w.until(id, "delivered")
	held := newID()
	w.accept(shapeA(held, "nobody").json())
	w.until(held, "quarantined")
	for program, families := range map[string][]string{
		stack.Ingress: {"mailroom_http_requests_total", "mailroom_ack_seconds_bucket", "mailroom_duplicates_total", "mailroom_inbox_waiting", "mailroom_inbox_oldest_seconds", "mailroom_audit_seq", "temporal_request"},
		stack.Worker:  {"mailroom_email_states_total", "mailroom_unknown_signals_total", "mailroom_email_seconds_bucket", "mailroom_emails_open", "mailroom_inbox_stuck", "mailroom_delivery_attempts_total", "mailroom_delivery_breaker_state", "temporal_"},
	} {
		text := w.metrics(program)
		for _, f := range families {
			require.Contains(t, text, "\n"+f, program)
		}
	}
}
