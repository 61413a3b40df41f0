package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/temporal"
)

var _ batch.Runner = (*temporal.Replays)(nil)

// fakeReplays keeps one replay, number 3, of the tenant default unless row says otherwise.
type fakeReplays struct {
	mu      sync.Mutex
	asked   []ledger.NewReplay
	row     ledger.ReplayRow
	tenants []string
	dryRuns bool
	items   ledger.ReplayItemFilter
	audited []ledger.AuditRecord
}

func (f *fakeReplays) CreateReplay(_ context.Context, in ledger.NewReplay) (int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, in)
	return 3, true, nil
}

func (f *fakeReplays) Replay(_ context.Context, id int64) (*ledger.ReplayRow, error) {
	if id != 3 {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	row := f.row
	if row.ID == 0 {
		row = ledger.ReplayRow{ID: 3, Filter: ledger.Filter{Tenant: "default"}, State: contract.ReplayDone}
	}
	return &row, nil
}

func (f *fakeReplays) Replays(_ context.Context, in ledger.ReplayFilter) ([]ledger.ReplayRow, string, error) {
	f.tenants, f.dryRuns = in.Tenants, in.DryRuns
	return nil, "", nil
}

func (f *fakeReplays) ReplayOutcomes(context.Context, int64) (*ledger.ReplayOutcomes, error) {
	return &ledger.ReplayOutcomes{
		Emails: 2, ByState: map[contract.State]int64{contract.Delivered: 1, contract.Quarantined: 1},
		HeldFor: map[contract.Reason]int64{contract.Infected: 1},
	}, nil
}

func (f *fakeReplays) ReplayItems(_ context.Context, in ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	f.items = in
	return nil, "", nil
}

func (f *fakeReplays) AppendAudit(_ context.Context, r ledger.AuditRecord) (int64, error) {
	f.audited = append(f.audited, r)
	return 1, nil
}

type fakeRunner struct {
	started []int64
	control []string
	rate    *contract.ReplayRate
	err     error
}

func (f *fakeRunner) StartReplay(_ context.Context, id int64, _ bool) error {
	f.started = append(f.started, id)
	return f.err
}

func (f *fakeRunner) ControlReplay(_ context.Context, _ int64, name string, rate *contract.ReplayRate) (contract.ReplayProgress, error) {
	f.control, f.rate = append(f.control, name), rate
	return contract.ReplayProgress{}, f.err
}

const retryAll = `{"action":"retry","filter":{"tenant":"default","reason":"unroutable"},"note":"the rule is there"}`

func replayWalks() []walk {
	const one, at = "/api/v1/replays/:id", "/api/v1/replays/3"
	return []walk{
		{method: "POST", pattern: "/api/v1/replays", path: "/api/v1/replays", body: retryAll, least: access.Operator},
		{method: "GET", pattern: "/api/v1/replays", path: "/api/v1/replays", least: access.Viewer, shared: true},
		{method: "GET", pattern: one, path: at, least: access.Viewer},
		{method: "GET", pattern: one + "/items", path: at + "/items", least: access.Viewer},
		{method: "POST", pattern: one + "/start", path: at + "/start", body: `{"count":2}`, least: access.Operator, before: counted},
		{method: "POST", pattern: one + "/pause", path: at + "/pause", least: access.Operator},
		{method: "POST", pattern: one + "/resume", path: at + "/resume", least: access.Operator},
		{method: "POST", pattern: one + "/stop", path: at + "/stop", least: access.Operator},
		{method: "POST", pattern: one + "/rate", path: at + "/rate", body: `{"rate":5}`, least: access.Operator},
	}
}

// counted makes of the replay a dry run that has counted two emails.
func counted(_ *testing.T, b *testBundle) {
	b.replays.row = ledger.ReplayRow{
		ID: 3, Filter: ledger.Filter{Tenant: "default"}, DryRun: true, State: contract.ReplayDone, CreatedAt: time.Now(),
		Action: ledger.ActionReplay, From: ledger.FromRoute, NewEffect: true, Preview: &ledger.ReplayPreview{Total: 2},
	}
}

func TestStartReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	counted(t, b)
	for body, want := range map[string]int{`{}`: 409, `{"count":3}`: 409, `{"count":"2"}`: 400, `{"count":2,"new_effect":true}`: 400} {
		resp, text := b.do(t, "POST", "/api/v1/replays/3/start", "operator", body)
		require.Equal(t, want, resp.StatusCode, "%s: %s", body, text)
	}
	require.Empty(t, b.replays.asked)
	resp, text := b.do(t, "POST", "/api/v1/replays/3/start", "operator", `{"count":2}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Len(t, b.replays.asked, 1)
	got := b.replays.asked[0]
	require.Equal(t, int64(3), got.StartedFrom)
	require.Equal(t, contract.StepRoute, got.From)
	require.True(t, got.NewEffect)
	require.False(t, got.DryRun)
}

func TestCreateReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, "POST", "/api/v1/replays", "operator", `{"from":"raw","new_effect":true,"note":"parser fixed",
		"filter":{"state":"delivered","recipient":"support@","since":"2026-11-01T00:00:00Z"}}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, []int64{3}, b.runner.started)
	got := b.replays.asked[0]
	require.Equal(t, ledger.ActionReplay, got.Action)
	require.Equal(t, contract.StepStore, got.From)
	require.Equal(t, "olga", got.Actor)
	require.Equal(t, contract.ViaAPI, got.Via)
	require.InDelta(t, batch.DefaultRate, got.Rate, 0)
	require.True(t, got.NewEffect)
	require.Equal(t, contract.Delivered, got.Filter.State)
	require.Nil(t, got.Filter.Tenants)

	// A decision is about held emails alone, and as fast as it goes.
	resp, body = b.do(t, "POST", "/api/v1/replays", "operator", retryAll)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, contract.Quarantined, b.replays.asked[1].Filter.State)
	require.Zero(t, b.replays.asked[1].Rate)
}

// TestReplayWithoutTenantIsNarrowed to those that the caller may decide about.
func TestReplayWithoutTenantIsNarrowed(t *testing.T) {
	t.Parallel()
	for as, want := range map[string][]string{"operator": nil, "local": {"default"}, "mixed": {"acme"}} {
		b := setup(t)
		resp, body := b.do(t, "POST", "/api/v1/replays", as, `{"action":"discard","note":"spam wave"}`)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, want, b.replays.asked[0].Filter.Tenants, as)
	}
}

// TestReplayOfOtherTenants is seen by callers with a role in all of them.
func TestReplayOfOtherTenants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.replays.row = ledger.ReplayRow{ID: 3, Filter: ledger.Filter{Tenants: []string{"default", "acme"}}}
	for as, want := range map[string]int{"local": 404, "foreign": 404, "viewer": 200, "mixed": 200} {
		resp, body := b.do(t, "GET", "/api/v1/replays/3", as, "")
		require.Equal(t, want, resp.StatusCode, "%s: %s", as, body)
	}
	b.replays.row = ledger.ReplayRow{ID: 3}
	for as, want := range map[string]int{"local": 404, "viewer": 200} {
		resp, body := b.do(t, "GET", "/api/v1/replays/3", as, "")
		require.Equal(t, want, resp.StatusCode, "%s: %s", as, body)
	}
	_, _ = b.do(t, "GET", "/api/v1/replays", "local", "")
	require.Equal(t, []string{"default"}, b.replays.tenants)
}

// TestReplaysSayWhatBecameOfTheEmails, and dry runs do not stand among them.
func TestReplaysSayWhatBecameOfTheEmails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, "GET", "/api/v1/replays/3", "operator", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Contains(t, body, `"outcomes":{"emails":2,"by_state":{"delivered":1,"quarantined":1},"held_for":{"infected":1}}`)

	for query, want := range map[string]bool{"": false, "?dry_runs=true": true, "?dry_runs=false": false} {
		resp, body = b.do(t, "GET", "/api/v1/replays"+query, "operator", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, want, b.replays.dryRuns, query)
	}
	resp, body = b.do(t, "GET", "/api/v1/replays?dry_runs=1", "operator", "")
	requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
}

func TestReplayRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, body := range map[string]string{
		"no note":                    `{"action":"retry"}`,
		"blank note":                 `{"action":"retry","note":"  "}`,
		"action":                     `{"action":"edit","note":"x"}`,
		"state of a decision":        `{"action":"retry","note":"x","filter":{"state":"delivered"}}`,
		"state of what is held":      `{"from":"held","note":"x","filter":{"state":"delivered"}}`,
		"from":                       `{"from":"deliver","note":"x"}`,
		"approve without reason":     `{"action":"approve","note":"x"}`,
		"new effect of a decision":   `{"action":"retry","new_effect":true,"note":"x"}`,
		"new effect of what is held": `{"new_effect":true,"note":"x"}`,
		"rate":                       `{"from":"raw","rate":-1,"note":"x"}`,
		"rate too high":              `{"from":"raw","rate":1e9,"note":"x"}`,
		"at once":                    `{"from":"raw","at_once":1000,"note":"x"}`,
		"reason":                     `{"from":"raw","note":"x","filter":{"reason":"bad"}}`,
		"tenants are not a caller's": `{"from":"raw","note":"x","filter":{"tenants":["default"]}}`,
		"actor is not a caller's":    `{"from":"raw","note":"x","actor":"root"}`,
		"times":                      `{"from":"raw","note":"x","filter":{"since":"2026-11-02T00:00:00Z","until":"2026-11-01T00:00:00Z"}}`,
		"control characters":         `{"from":"raw","note":"x","filter":{"recipient":"a\u0007"}}`,
		"two values":                 `{"from":"raw","note":"x"} {}`,
		"from of a discard":          `{"action":"discard","from":"raw","note":"x"}`,
	} {
		resp, text := b.do(t, "POST", "/api/v1/replays", "admin", body)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, "%s: %s", name, text)
	}
	require.Empty(t, b.replays.asked)
	resp, _ := b.do(t, "GET", "/api/v1/replays/4", "admin", "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// TestReplayBeginsLater: what is written down is not refused because Temporal is unavailable.
func TestReplayBeginsLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runner.err = fault.New(fault.TemporalUnavailable, "away")
	resp, body := b.do(t, "POST", "/api/v1/replays", "operator", retryAll)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	resp, body = b.do(t, "POST", "/api/v1/replays/3/pause", "operator", "")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, body)
	require.Empty(t, b.replays.audited)
}

func TestControlReplayIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, "POST", "/api/v1/replays/3/rate", "operator", `{"rate":7.5}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, []string{contract.ReplaySetRate}, b.runner.control)
	require.InDelta(t, 7.5, b.runner.rate.Rate, 0)
	require.Len(t, b.replays.audited, 1)
	require.Equal(t, "olga", b.replays.audited[0].Actor)
	var entry map[string]any
	require.NoError(t, json.Unmarshal(b.replays.audited[0].Body, &entry))
	require.Equal(t, "set_rate", entry["control"])
	resp, _ = b.do(t, "POST", "/api/v1/replays/3/rate", "operator", `{"rate":-1}`)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}
