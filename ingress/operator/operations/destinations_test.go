package operations_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

func TestDestinations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := func(minutes int) *time.Time { out := b.now.Add(time.Duration(minutes) * time.Minute); return &out }
	b.ledger.controls = []ledger.Control{
		{Destination: "crm", Paused: true, Actor: "olga", Note: "they move house", At: b.now}, {Destination: "a b", Actor: "olga", GoneUntil: b.now.Add(time.Hour)},
	}
	b.ledger.statuses = []ledger.DestinationStatus{
		{Destination: "crm", Worker: "w1", Breaker: ledger.BreakerClosed, InFlight: 2, Fresh: true, LastSuccessAt: at(-5)},
		{Destination: "crm", Worker: "w2", Breaker: ledger.BreakerHalfOpen, InFlight: 1, Fresh: true, LastFailureAt: at(-1), LastFailure: "HTTP 500", GoneUntil: at(9)},
		// It is silent: its breaker counts no more, what it saw was seen.
		{Destination: "crm", Worker: "w0", Breaker: ledger.BreakerOpen, InFlight: 9, LastSuccessAt: at(-2), LastFailureAt: at(-3), LastFailure: "old", GoneUntil: at(99)},
		{Destination: "no more", Worker: "w1", Breaker: ledger.BreakerOpen, Fresh: true},
	}
	status, out := b.ask(t, "local", http.MethodGet, "/api/v1/destinations", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, [][]string{{"default"}}, b.ledger.tenants)
	list, _ := out["destinations"].([]any)
	require.Len(t, list, 2, "that of another tenant is not shown")
	crm, _ := list[0].(map[string]any)
	require.Len(t, crm["workers"], 2)
	delete(crm, "workers")
	require.Equal(t, map[string]any{
		"name": "crm", "tenants": []any{"default"}, "url": "crm.example:8443", "breaker": "half_open", "in_flight": 3.0, "max_in_flight": 32.0,
		"backlog":       map[string]any{"retrying": 3.0, "held": 1.0, "oldest_received_at": nil, "next_attempt_at": nil},
		"next_probe_at": nil,
		"paused":        map[string]any{"by": "olga", "note": "they move house", "at": "2026-11-02T10:00:00Z"},
		"gone_until":    "2026-11-02T10:09:00Z", "last_success_at": "2026-11-02T09:58:00Z",
		"last_failure_at": "2026-11-02T09:59:00Z", "last_failure": "HTTP 500",
	}, crm)
	other, _ := list[1].(map[string]any)
	require.Nil(t, other["paused"], "it was resumed")
	require.Equal(t, "2026-11-02T11:00:00Z", other["gone_until"], "kept in the ledger, though no worker has told")
	require.Equal(t, "", other["breaker"], "no worker has told")
	require.Equal(t, 4.0, other["max_in_flight"])
	require.Equal(t, []any{}, other["workers"])
	require.Equal(t, []any{"default"}, other["tenants"], "nor the name of another tenant that it serves")
	require.NotContains(t, fmt.Sprint(out), "s3cret")
	require.NotContains(t, fmt.Sprint(out), "acme")
}

// TestNextProbe: an operator can see when a destination that fails is called next.
func TestNextProbe(t *testing.T) {
	t.Parallel()
	at := func(minutes int) *time.Time {
		out := time.Date(2026, 11, 2, 10, minutes, 0, 0, time.UTC)
		return &out
	}
	open := func(probe *time.Time) ledger.DestinationStatus {
		return ledger.DestinationStatus{Destination: "crm", Breaker: ledger.BreakerOpen, ProbeAt: probe, Fresh: true}
	}
	closed := ledger.DestinationStatus{Destination: "crm", Breaker: ledger.BreakerClosed, Fresh: true}
	silent := ledger.DestinationStatus{Destination: "crm", Breaker: ledger.BreakerOpen, ProbeAt: at(1)}
	for name, c := range map[string]struct {
		control  ledger.Control
		statuses []ledger.DestinationStatus
		waits    *time.Time // until the next attempt of what waits
		want     *time.Time
	}{
		"all is well":                {statuses: []ledger.DestinationStatus{closed}},
		"something waits":            {statuses: []ledger.DestinationStatus{closed}, waits: at(5), want: at(5)},
		"open, nothing waits":        {statuses: []ledger.DestinationStatus{open(at(3)), open(at(2)), silent}, want: at(2)},
		"open, due later":            {statuses: []ledger.DestinationStatus{open(at(2))}, waits: at(5), want: at(5)},
		"open, due before":           {statuses: []ledger.DestinationStatus{open(at(6))}, waits: at(5), want: at(6)},
		"another worker calls":       {statuses: []ledger.DestinationStatus{open(at(6)), closed}, waits: at(5), want: at(5)},
		"paused":                     {control: ledger.Control{Paused: true}, statuses: []ledger.DestinationStatus{open(at(2))}, waits: at(5)},
		"gone, and it waits":         {control: ledger.Control{GoneUntil: *at(9)}, waits: at(5), want: at(9)},
		"no worker, something waits": {waits: at(5), want: at(5)},
	} {
		b := setup(t)
		b.ledger.waits = c.waits
		b.ledger.statuses = c.statuses
		c.control.Destination = "crm"
		b.ledger.controls = []ledger.Control{c.control}
		list, err := b.Service.Destinations(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, c.want, list[0].NextProbeAt, name)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, out := b.ask(t, "operator", http.MethodPost, "/api/v1/destinations/a%20b/pause", `{"note":"they move\n\thouse"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"ok": true, "destination": "a b", "paused": true}, out)
	status, out = b.ask(t, "operator", http.MethodPost, "/api/v1/destinations/crm/resume", `{"note":"done"}`, "X-Mailroom-Client", "mailctl")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"ok": true, "destination": "crm", "paused": false}, out)
	require.Equal(t, []ledger.Control{
		{Destination: "a b", Paused: true, Actor: "olga", Note: "they move\n\thouse"}, {Destination: "crm", Actor: "olga", Note: "done"},
	}, b.ledger.controls)
	require.Equal(t, []contract.Via{contract.ViaAPI, contract.ViaMailctl}, b.ledger.via)
}

func TestPauseIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const crm = "/api/v1/destinations/crm/pause"
	for _, row := range []struct{ path, body, code, message string }{
		{crm, `{}`, "request_invalid", "note must say why"},
		{crm, `{"note":" \n"}`, "request_invalid", "note must say why"},
		{crm, `{"note":"` + strings.Repeat("x", contract.MaxNote+1) + `"}`, "request_invalid", fmt.Sprintf("note has at most %d bytes", contract.MaxNote)},
		{crm, `{"note":"a\u0000b"}`, "request_invalid", "note must not hold control characters"},
		{crm, `{"note":"x","until":"tomorrow"}`, "request_invalid", "no others"},
		{crm, `{"note":"x"} {}`, "request_invalid", "one JSON object"},
		{crm, `[]`, "request_invalid", "one JSON object"},
		{crm, ``, "request_invalid", "one JSON object"},
		{crm, `{"note":"` + strings.Repeat("x", 7*contract.MaxNote+1024) + `"}`, "body_too_large", fmt.Sprintf("at most %d bytes", 6*contract.MaxNote+1024)},
		{"/api/v1/destinations/CRM/pause", `{"note":"x"}`, "not_found", "there is no such destination"},
		{"/api/v1/destinations/%2e%2e/resume", `{"note":"x"}`, "not_found", "there is no such destination"},
	} {
		code, message := b.refused(t, "operator", http.MethodPost, row.path, row.body)
		require.Equal(t, row.code, code, row.body)
		require.Contains(t, message, row.message)
	}
	code, message := b.refused(t, "operator", http.MethodPost, crm, `{"note":"x"}`, "Content-Type", "text/plain")
	require.Equal(t, "content_type_invalid", code)
	require.Contains(t, message, "application/json")
	// The role is asked for here too: the console comes by another way than the table.
	for as, want := range map[string]string{"viewer": "forbidden", "foreign": "not_found", "nobody": "forbidden"} {
		code, _ := b.refused(t, as, http.MethodPost, crm, `{"note":"x"}`)
		require.Equal(t, want, code, as)
	}
	for _, as := range []string{"local", "half", "foreign"} { // it serves another tenant too
		code, _ := b.refused(t, as, http.MethodPost, "/api/v1/destinations/a%20b/pause", `{"note":"x"}`)
		require.Equal(t, "forbidden", code, as)
	}
	require.Error(t, b.SetPaused(t.Context(), access.Identity{}, contract.ViaConsole, "crm", true, "x"))
	require.Empty(t, b.ledger.controls)
}

// TestPauseNeedsEveryTenantThatIsServed, and no other.
func TestPauseNeedsEveryTenantThatIsServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, row := range []struct{ as, name string }{
		{"local", "crm"}, {"half", "crm"}, {"both", "crm"}, {"both", "a%20b"}, {"foreign", "theirs"}, {"operator", "theirs"},
	} {
		status, out := b.ask(t, row.as, http.MethodPost, "/api/v1/destinations/"+row.name+"/pause", `{"note":"x"}`)
		require.Equal(t, http.StatusOK, status, "%v: %v", row, out)
	}
	require.Len(t, b.ledger.controls, 6)
}

// A worker that had stopped sending and has ended, or has not reported since, once made
// a destination look gone after it was resumed.
func TestResumeEndsAStopThatAWorkerStillReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before, after := b.now.Add(time.Hour-time.Second), b.now.Add(time.Hour+time.Second)
	status := ledger.DestinationStatus{Destination: "crm", Worker: "w1", Fresh: true, GoneUntil: &before}
	gone := func() *time.Time {
		b.ledger.statuses = []ledger.DestinationStatus{status}
		list, err := b.Service.Destinations(t.Context(), nil)
		require.NoError(t, err)
		for _, d := range list {
			if d.Name == "crm" {
				return d.GoneUntil
			}
		}
		t.Fatal("no such destination")
		return nil
	}
	require.Equal(t, &before, gone(), "no person has resumed it")

	b.ledger.controls = []ledger.Control{{Destination: "crm", Actor: "olga", At: b.now}}
	require.Nil(t, gone())
	status.GoneUntil = &after
	require.Equal(t, &after, gone(), "the destination said so again")
	b.ledger.controls[0].RecoveredAt = b.now.Add(time.Minute)
	require.Nil(t, gone(), "and has taken mail since")
}
