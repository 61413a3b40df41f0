package mailctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// replayAPI answers a dry run with a preview, and a replay with its end at the
// second look.
type replayAPI struct {
	mu    sync.Mutex
	asked []map[string]any
	begun []map[string]any // from dry run 4
	looks int
}

func (a *replayAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/api/v1/replays":
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in)
		a.asked = append(a.asked, in)
		if filter, _ := in["filter"].(map[string]any); in["dry_run"] == true && filter["state"] == "retrying" {
			action, _ := in["action"].(string)
			_, _ = fmt.Fprintf(w, `{"id":4,"action":%q,"from":"route","state":"done","preview":{"total":9,"would":{"decided":9},"by_state":{"retrying":9}}}`, action)
			return
		}
		if in["dry_run"] == true {
			_, _ = fmt.Fprint(w, `{"id":4,"state":"done","warning":"This releases the malware.","preview":{"total":12,"would":{"decided":12},"by_state":{"quarantined":12}}}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"id":5,"state":"running","total":12}`)
	case r.URL.Path == "/api/v1/replays/4/start":
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in)
		a.begun = append(a.begun, in)
		_, _ = fmt.Fprint(w, `{"id":5,"state":"running","total":12}`)
	default:
		a.looks++
		state := "running"
		if a.looks > 1 {
			state = "done"
		}
		outcomes := `{"emails":12,"by_state":{"processing":2,"delivered":10},"held_for":{}}`
		if a.looks > 3 { // a moment after its end the last two are held again
			outcomes = `{"emails":12,"by_state":{"delivered":10,"quarantined":2},"held_for":{"infected":2}}`
		}
		_, _ = fmt.Fprintf(w, `{"id":5,"state":%q,"total":12,"done":%d,"outcomes":%s}`, state, min(12, 6*a.looks), outcomes)
	}
}

// TestDryRunCountsMissingPeople: "decided" was said of emails that another person has to
// approve as well.
func TestDryRunCountsMissingPeople(t *testing.T) {
	t.Parallel()
	var filters []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			_, _ = fmt.Fprint(w, `{"id":4,"action":"approve","state":"done","preview":{"total":3,"would":{"decided":3}}}`)
			return
		}
		filters = append(filters, r.URL.RawQuery)
		_, _ = fmt.Fprint(w, `{"emails":[{"approvals_missing":2},{"approvals_missing":1},{"approvals_missing":2}]}`)
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	code := Run(context.Background(), []string{
		"--api", server.URL, "emails", "approve", "--all", "--reason", "infected", "--note", "n", "--dry-run",
	}, strings.NewReader(""), &out, &errs, func(string) string { return "" })
	require.Zero(t, code, errs.String())
	require.Equal(t, []string{"limit=200&reason=infected&state=quarantined"}, filters)
	require.Contains(t, out.String(), "2 of the first 3 stay held: another person has to approve them after you\n")
}

func replayCall(t *testing.T, api *replayAPI, answer string, args ...string) (int, string, string) {
	t.Helper()
	server := httptest.NewServer(api)
	defer server.Close()
	var out, errs bytes.Buffer
	code := Run(context.Background(), append([]string{"--api", server.URL}, args...), strings.NewReader(answer), &out, &errs,
		func(string) string { return "" })
	return code, out.String(), errs.String()
}

func TestReplayAsksFirst(t *testing.T) {
	t.Parallel()
	api := &replayAPI{}
	var code int
	var out, errs string
	for _, answer := range []string{"n\n", "\n", "n", "y z\n", "yess\n"} {
		api.asked = nil
		code, out, errs = replayCall(t, api, answer, "emails", "retry", "--all", "--reason", "unroutable", "--note", "rule is there")
		require.Equal(t, exitFailed, code, "%q", answer)
		require.Contains(t, out, "12")
		require.Equal(t, "mailctl: nothing was done: the answer was not yes (--yes starts without a question)\n", errs, "%q", answer)
		require.Len(t, api.asked, 1)
		require.Empty(t, api.begun)
	}
	require.Equal(t, true, api.asked[0]["dry_run"])

	code, out, _ = replayCall(t, api, "y\n", "emails", "retry", "--all", "--reason", "unroutable", "--note", "rule is there")
	require.Equal(t, exitDone, code, out)
	require.Len(t, api.asked, 2)
	require.Equal(t, "retry", api.asked[1]["action"])
	require.Equal(t, map[string]any{"reason": "unroutable"}, api.asked[1]["filter"])
	require.Equal(t, []map[string]any{{"count": 12.0}}, api.begun, "what the dry run has counted, and nothing else, is begun")
	require.Contains(t, out, "replay 5 running: 6 of 12")
	require.Contains(t, out, "replay 5 done: 12 of 12")
	require.Contains(t, out, "12 done are now: 2 held (infected 2), 10 delivered\n")
	require.Contains(t, out, "Against the advice: This releases the malware.\nGo on? [y/N] ")
	require.Regexp(t, `  held +12\n`, out)
}

// A question that nothing answers, as in a script without a terminal, is no consent, and
// no success either.
func TestReplayUnansweredFails(t *testing.T) {
	t.Parallel()
	api := &replayAPI{}
	code, _, errs := replayCall(t, api, "", "emails", "retry", "--all", "--reason", "unroutable", "--note", "n")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "--yes")
	require.Empty(t, api.begun)
}

func TestReplayWithoutAsking(t *testing.T) {
	t.Parallel()
	api := &replayAPI{}
	code, out, errs := replayCall(t, api, "", "replay", "--state", "delivered", "--from", "route", "--new-effect", "--note", "n", "--yes", "--detach")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "mailctl replay watch 5")
	require.Len(t, api.asked, 1)
	require.Equal(t, "route", api.asked[0]["from"])
	require.Equal(t, true, api.asked[0]["new_effect"])
	require.NotContains(t, api.asked[0], "key")

	code, _, errs = replayCall(t, api, "", "emails", "retry", "--all", "--note", "n", "--yes", "--detach", "--key", "night")
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, "night", api.asked[1]["key"])
}

func TestReplayUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"emails", "retry", "--note", "n"},
		{"emails", "retry", "id", "--all", "--note", "n"},
		{"replay", "--from", "deliver", "--note", "n"},
		{"replay", "--since", "yesterday", "--note", "n"},
		{"replay", "--from", "raw"},
		{"replay", "--note", "n", "--key", "k"},
		{"emails", "retry", "id", "--note", "n", "--key", "k"},
	} {
		code, _, _ := replayCall(t, &replayAPI{}, "", args...)
		require.Equal(t, exitUsage, code, args)
	}
}

// TestDryRunSaysWhatIsDoneWithMailThatWaits: it was called in progress, and left alone.
func TestDryRunSaysWhatIsDoneWithMailThatWaits(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"they are routed again, and tried now":               {"replay", "run", "--from", "route"},
		"they are ended; what was delivered stays delivered": {"emails", "discard", "--all"},
		"they are held until they are approved":              {"emails", "hold", "--all"},
	} {
		code, out, errs := replayCall(t, &replayAPI{}, "", append(args, "--state", "retrying", "--note", "n", "--dry-run")...)
		require.Equal(t, exitDone, code, errs)
		require.Regexp(t, `retrying +9 +`+says, out)
	}
}
