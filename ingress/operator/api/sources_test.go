package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
	"mailroom/shared/secret"
)

var (
	_ operations.Failures = (*postgres.AuthFailures)(nil)
	_ operations.Secrets  = (*secret.Store)(nil)
	_ operations.Uses     = (*postgres.UsedSecrets)(nil)
)

type fakeFailures struct {
	mu     sync.Mutex
	rows   []ledger.VerificationFailure
	counts map[string]map[string]int64
	filter ledger.FailureFilter
	since  time.Time
	err    error
}

func (f *fakeFailures) VerificationFailures(_ context.Context, filter ledger.FailureFilter) ([]ledger.VerificationFailure, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	return f.rows[:min(len(f.rows), filter.Limit)], f.err
}

func (f *fakeFailures) CountVerificationFailures(ctx context.Context, since time.Time) (map[string]map[string]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = since
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("nothing bounds the wait")
	}
	return f.counts, f.err
}

// fakeKeyUse is by source and key.
type fakeKeyUse map[string]map[int]time.Time

func (u fakeKeyUse) LastUse(source string, key int) time.Time { return u[source][key] }

// fakeUses are those of every ingress.
type fakeUses struct {
	list []ledger.SecretUse
	err  error
}

func (u *fakeUses) SecretUses(ctx context.Context, sources []string) ([]ledger.SecretUse, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("nothing bounds the wait")
	}
	return slices.DeleteFunc(slices.Clone(u.list), func(s ledger.SecretUse) bool { return !slices.Contains(sources, s.Source) }), u.err
}

type fakeSecrets struct{ list []secret.Status }

func (s *fakeSecrets) Status() []secret.Status { return s.list }

func configuredSources() []config.Source {
	soon := time.Now().Add(time.Hour)
	return []config.Source{
		{
			Name: "mailparse", Path: "/webhooks/email", Profile: "mailparse", Tenant: "default",
			Schemes: []string{"timestamp-hmac"}, MaxBody: 25 << 20, Tolerance: 5 * time.Minute, Strict: true,
			Limit: config.SourceLimit{Rate: 10, Burst: 20, InFlight: 30}, AllowFrom: []string{"192.0.2.0/24"},
			Secrets: []config.KeyRef{
				{Ref: "env:NOW", Key: config.NewSecret("hidden-secret")},
				{Ref: "vault:secret/mail#before", Key: config.NewSecret("hidden-too"), Expires: soon},
			},
		},
		{Name: "open", Path: "/open", Profile: "mailparse", Answers: "none", Schemes: []string{"none"}, Insecure: true, Disabled: true},
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	b := setup(t)
	used := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	b.keyUse["mailparse"] = map[int]time.Time{1: used.Add(-48 * time.Hour), 2: used}
	b.secrets.list = []secret.Status{{Updated: time.Unix(1, 0), Ref: "env:NOW", Failing: true}, {Updated: time.Unix(1, 0), Ref: "vault:secret/mail#before"}}
	b.failures.counts = map[string]map[string]int64{"mailparse": {"signature_invalid": 4}, "gone": {"x": 1}}
	resp, body := b.do(t, "GET", "/api/v1/sources", "viewer", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.NotContains(t, body, "hidden")
	require.WithinDuration(t, time.Now().Add(-24*time.Hour), b.failures.since, time.Minute)
	var got struct {
		Sources []map[string]any `json:"sources"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got.Sources, 2)
	keys := got.Sources[0]["secrets"].([]any)
	require.NotEmpty(t, keys[1].(map[string]any)["expires"])
	delete(keys[1].(map[string]any), "expires")
	require.Equal(t, []any{
		map[string]any{
			"key": 1.0, "ref": "env:NOW", "scheme": "", "expires": nil, "state": "failing",
			"last_used": used.Add(-48 * time.Hour).Format(time.RFC3339), "in_use": false,
		},
		map[string]any{
			"key": 2.0, "ref": "vault:secret/mail#before", "scheme": "", "state": "expiring",
			"last_used": used.Format(time.RFC3339), "in_use": true,
		},
	}, keys)
	delete(got.Sources[0], "secrets")
	require.Equal(t, map[string]any{
		"name": "mailparse", "path": "/webhooks/email", "profile": "mailparse", "answers": "mailparse", "tenant": "default",
		"schemes": []any{"timestamp-hmac"}, "strict": true, "disabled": false, "insecure": false, "last_used": used.Format(time.RFC3339),
		"max_body": float64(25 << 20), "tolerance_seconds": 300.0, "allow_from": []any{"192.0.2.0/24"},
		"limit":        map[string]any{"rate": 10.0, "burst": 20.0, "in_flight": 30.0},
		"failures_24h": map[string]any{"signature_invalid": 4.0},
	}, got.Sources[0])
	require.Equal(t, map[string]any{
		"name": "open", "path": "/open", "profile": "mailparse", "answers": "none", "tenant": "",
		"schemes": []any{"none"}, "strict": false, "disabled": true, "insecure": true, "last_used": nil,
		"max_body": 0.0, "tolerance_seconds": 0.0, "allow_from": []any{}, "secrets": []any{},
		"limit":        map[string]any{"rate": 0.0, "burst": 0.0, "in_flight": 0.0},
		"failures_24h": map[string]any{},
	}, got.Sources[1])

	resp, body = b.do(t, "GET", "/api/v1/sources?x=1", "viewer", "")
	requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
}

// TestLastUseAtOtherIngresses: the last use is the latest at any ingress, and that of this one
// where the ledger does not answer.
func TestLastUseAtOtherIngresses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	b.keyUse["mailparse"] = map[int]time.Time{1: at.Add(time.Minute)}
	b.keyUse["open"] = map[int]time.Time{0: at.Add(-time.Minute)}
	b.uses.list = []ledger.SecretUse{
		{Source: "mailparse", Ref: "env:NOW", UsedAt: at}, {Source: "mailparse", Ref: "vault:secret/mail#before", UsedAt: at},
		{Source: "mailparse", Ref: "env:NOW", Scheme: "basic", UsedAt: at.Add(time.Hour)}, // of another entry
		{Source: "open", UsedAt: at},
	}
	type used struct {
		LastUsed *time.Time `json:"last_used"`
		Secrets  []struct {
			LastUsed *time.Time `json:"last_used"`
			InUse    bool       `json:"in_use"`
		} `json:"secrets"`
	}
	list := func() []used {
		_, body := b.do(t, "GET", "/api/v1/sources", "viewer", "")
		var got struct{ Sources []used }
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		return got.Sources
	}

	got := list()
	require.Equal(t, at.Add(time.Minute), *got[0].Secrets[0].LastUsed, "here it was later")
	require.Equal(t, at, *got[0].Secrets[1].LastUsed)
	require.True(t, got[0].Secrets[1].InUse)
	require.Equal(t, at.Add(time.Minute), *got[0].LastUsed)
	require.Equal(t, at, *got[1].LastUsed, "it verifies nothing")

	b.uses.err = fault.New(fault.StorageUnavailable, "the ledger does not answer")
	got = list()
	require.Equal(t, at.Add(time.Minute), *got[0].Secrets[0].LastUsed)
	require.Nil(t, got[0].Secrets[1].LastUsed)
	require.Equal(t, at.Add(-time.Minute), *got[1].LastUsed)
	require.Contains(t, b.logs.String(), "operator.uses_not_read")
}

// TestSecretsThatAreGone show until when they verify.
func TestSecretsThatAreGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	status := secret.Status{Updated: time.Unix(1, 0), Ref: "env:NOW", Failing: true, Gone: true, VerifiesUntil: until}
	for _, c := range []struct {
		withdrawn bool
		state     string
	}{{false, "gone"}, {true, "withdrawn"}} {
		status.Withdrawn = c.withdrawn
		b.secrets.list = []secret.Status{status}
		_, body := b.do(t, "GET", "/api/v1/sources", "viewer", "")
		require.Contains(t, body, `"state":"`+c.state+`","verifies_until":"2026-11-03T00:00:00Z"`)
	}
}

// TestSourcesWithoutTheLedger: what is configured shows also then.
func TestSourcesWithoutTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failures.err = fault.New(fault.StorageUnavailable, "the ledger does not answer")
	resp, body := b.do(t, "GET", "/api/v1/sources", "viewer", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Contains(t, body, `"failures_24h":null`)
	require.Contains(t, b.logs.String(), "operator.failures_not_counted")
	resp, body = b.do(t, "GET", "/api/v1/sources/mailparse/failures", "operator", "")
	requireRefused(t, resp, body, http.StatusServiceUnavailable, fault.StorageUnavailable)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Date(2026, 11, 1, 10, 20, 0, 0, time.UTC)
	row := ledger.VerificationFailure{
		Hour: at.Truncate(time.Hour), Source: "mailparse", Scheme: "timestamp-hmac", Code: "signature_invalid",
		Address: "2001:db8::1", Count: 3, FirstAt: at, LastAt: at.Add(time.Minute),
	}
	b.failures.rows = []ledger.VerificationFailure{row, row, row}
	get := func(query string) (*http.Response, string) {
		return b.do(t, "GET", "/api/v1/sources/mailparse/failures"+query, "operator", "")
	}
	const shown = `{"hour":"2026-11-01T10:00:00Z","scheme":"timestamp-hmac","code":"signature_invalid",` +
		`"address":"2001:db8::1","count":3,"first_at":"2026-11-01T10:20:00Z","last_at":"2026-11-01T10:21:00Z"}`
	_, body := get("?since=" + url.QueryEscape("2026-11-01T12:00:00+02:00") + "&limit=2")
	require.JSONEq(t, `{"source":"mailparse","since":"2026-11-01T10:00:00Z","failures":[`+shown+`,`+shown+`],"more":true}`, body)
	require.Equal(t, ledger.FailureFilter{Source: "mailparse", Since: b.failures.filter.Since, Limit: 3}, b.failures.filter)
	require.True(t, at.Truncate(time.Hour).Equal(b.failures.filter.Since))

	_, body = get("?limit=3")
	require.Contains(t, body, `"more":false`)
	require.WithinDuration(t, time.Now().Add(-24*time.Hour), b.failures.filter.Since, time.Minute)
	b.failures.rows = nil
	_, body = get("")
	require.Contains(t, body, `"failures":[],"more":false`)
	require.Equal(t, ledger.DefaultFailures+1, b.failures.filter.Limit)

	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?since=yesterday", "?since=1", "?sinc=1", "?limit=1&limit=2"} {
		resp, body := get(query)
		requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
	}
	for _, path := range []string{"gone", "%00", "mailparse/x"} {
		resp, body := b.do(t, "GET", "/api/v1/sources/"+path+"/failures", "operator", "")
		requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
	}
}
