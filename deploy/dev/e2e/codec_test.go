package e2e_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// webUI is the origin of the Web UI in the configuration of a world.
const webUI = "http://127.0.0.1:8233"

// codecFlags are what the command line of Temporal needs to read and write what
// our programs have encrypted.
func (w *world) codecFlags(token string) []string {
	return []string{"--codec-endpoint", w.OperatorURL() + "/codec", "--codec-auth", "Bearer " + token}
}

// TestTemporalCommandLine: with the codec server the command line reads histories
// and sends signals and updates, without it neither is readable.
func TestTemporalCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := newID()
	w.accept(shapeA(id, "careful").json())
	w.until(id, "quarantined")
	show := []string{"workflow", "show", "--workflow-id", id, "--output", "json"}

	// The input of the workflow, as the command line prints payloads.
	history := w.tc.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	started, err := history.Next()
	require.NoError(t, err)
	input := started.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	clearText := w.decoded(operatorToken, input)[0].GetData()
	require.Contains(t, string(clearText), id)
	clear64 := base64.StdEncoding.EncodeToString(clearText)
	cipher64 := base64.StdEncoding.EncodeToString(input.GetData())

	bare := w.run("temporal", show...)
	require.Contains(t, bare, cipher64)
	require.NotContains(t, bare, clear64)
	with := w.run("temporal", append(show, w.codecFlags(operatorToken)...)...)
	require.Contains(t, with, clear64)
	require.NotContains(t, with, cipher64)
	// The command line fails when the codec server refuses it, after many attempts.
	require.NotContains(t, w.fail("temporal", append(show, w.codecFlags("not-the-token")...)...), clear64)

	// A signal with an input, encrypted on its way.
	w.run("temporal", append([]string{"workflow", "signal", "--workflow-id", id, "--name", "approve",
		"--input", `{"note":"from the command line"}`}, w.codecFlags(operatorToken)...)...)
	e := w.until(id, "delivered")
	require.Len(t, e.Decisions, 1)
	require.Equal(t, "signal", e.Decisions[0].Via)
	history = w.tc.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	signals := 0
	for history.HasNext() {
		event, err := history.Next()
		require.NoError(t, err)
		onlyCiphertext(t, event)
		if s := event.GetWorkflowExecutionSignaledEventAttributes(); s != nil {
			signals++
			require.Len(t, s.GetInput().GetPayloads(), 1)
		}
	}
	require.Equal(t, 1, signals)
}

// TestCodecServerAndBrowsers asks as the Web UI does.
func TestCodecServerAndBrowsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		method, origin, token string
		status                int
		allowed               string
	}{
		"preflight":          {http.MethodOptions, webUI, "", http.StatusNoContent, webUI},
		"known":              {http.MethodPost, webUI, operatorToken, http.StatusOK, webUI},
		"unknown":            {http.MethodPost, webUI, "", http.StatusOK, webUI}, // a sentence for each payload
		"wrong":              {http.MethodPost, webUI, "other", http.StatusOK, webUI},
		"no page":            {http.MethodPost, "", "", http.StatusUnauthorized, ""},
		"elsewhere":          {http.MethodPost, "https://evil.example", operatorToken, http.StatusForbidden, ""},
		"elsewhere, unknown": {http.MethodPost, "https://evil.example", "", http.StatusForbidden, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, w.OperatorURL()+"/codec/decode?preserveStorageRefs=true", bytes.NewReader([]byte(`{"payloads":[]}`)))
		require.NoError(t, err)
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		req.Header.Set("X-Namespace", "default")
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		res, err := w.http.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, c.status, res.StatusCode, name)
		require.Equal(t, c.allowed, res.Header.Get("Access-Control-Allow-Origin"), name)
	}
}

// TestAWorkerWithoutTheKey leaves mail as it is, says what it lacks, and goes on
// once it has the key.
func TestAWorkerWithoutTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	require.NoError(t, w.Stop(stack.Worker))
	keyed, err := os.ReadFile(w.options.Config)
	require.NoError(t, err)
	w.configure(bytes.Replace(keyed, []byte("encryption: {keys: [{id: k1"), []byte("encryption: {keys: [{id: k0"), 1))
	require.NoError(t, w.Start(t.Context(), stack.Worker))
	id := newID()
	w.accept(shapeA(id, "support").json())
	failed := func() string {
		history := w.tc.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			if err != nil {
				return ""
			}
			if f := event.GetWorkflowTaskFailedEventAttributes(); f != nil {
				log, err := os.ReadFile(w.LogFile(stack.Worker))
				require.NoError(t, err)
				return string(log)
			}
		}
		return ""
	}
	testenv.Eventually(t, func() bool { return failed() != "" }, patience, tick)
	require.Contains(t, failed(), `encryption key \"k1\"`)
	require.Equal(t, "processing", w.email(id).State)

	require.NoError(t, w.Stop(stack.Worker))
	w.configure(keyed)
	require.NoError(t, w.Start(t.Context(), stack.Worker))
	w.until(id, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
}

// configure replaces the configuration of the world, for programs that start from now on.
func (w *world) configure(text []byte) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.options.Config, text, 0o600))
}

// decoded asks the codec server.
func (w *world) decoded(token string, payloads ...*commonpb.Payload) []*commonpb.Payload {
	w.t.Helper()
	b, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
	require.NoError(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.OperatorURL()+"/codec/decode", bytes.NewReader(b))
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, res.StatusCode, "%s", text)
	var out commonpb.Payloads
	require.NoError(w.t, protojson.Unmarshal(text, &out))
	require.Len(w.t, out.GetPayloads(), len(payloads))
	return out.GetPayloads()
}

// fail runs a program of Bin that must fail, and returns what it prints.
func (w *world) fail(program string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(w.bin, program), args...)
	cmd.Env = w.environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(w.t, err, &exit, "%s", out)
	return string(out)
}
