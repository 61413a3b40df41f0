package operations_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/docs"
	"mailroom/shared/ledger"
)

// alertsOf returns what the overview of these tenants warns of, as "kind name: text".
func (b *testBundle) alertsOf(t *testing.T, tenants []string) []string {
	t.Helper()
	b.now = b.now.Add(time.Minute) // not from memory
	o, err := b.Service.Overview(t.Context(), tenants)
	require.NoError(t, err)
	require.NotNil(t, o.Alerts, "an empty list in JSON")
	out := []string{}
	for _, a := range o.Alerts {
		out = append(out, string(a.Kind)+" "+a.Name+": "+a.Text)
		requireSection(t, a.Help)
	}
	return out
}

// requireSection fails unless the manual has this section.
func requireSection(t *testing.T, help string) {
	t.Helper()
	page, section, _ := strings.Cut(help, "#")
	text, err := docs.Pages.ReadFile(page + ".md")
	require.NoError(t, err, help)
	for line := range strings.Lines(string(text)) {
		heading, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(line)), "## ")
		if ok && strings.ReplaceAll(heading, " ", "-") == section {
			return
		}
	}
	t.Errorf("the manual has no section %s", help)
}

func TestOverviewAlerts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ledger.reports = []ledger.WorkerReport{{Worker: "w1", Fresh: true, UpdatedAt: b.now, Checks: map[string]string{"scanner": "ok"}}}
	require.Empty(t, b.alertsOf(t, nil), "all is well")

	b.status, b.checks = "degraded", map[string]string{"postgres": "ok", "temporal": "unavailable", "blob": "unavailable"}
	b.ledger.reports = append(b.ledger.reports,
		ledger.WorkerReport{Worker: "w2", Fresh: true, UpdatedAt: b.now, Checks: map[string]string{"scanner": "unavailable"}},
		ledger.WorkerReport{Worker: "w3", UpdatedAt: b.now, Checks: map[string]string{"blob": "unavailable"}})
	b.ledger.statuses = []ledger.DestinationStatus{
		{Destination: "crm", Breaker: ledger.BreakerOpen, Fresh: true, LastFailureAt: &b.now, LastFailure: "the destination answered 503; it will be tried again"},
		{Destination: "theirs", Breaker: ledger.BreakerHalfOpen, Fresh: true},
	}
	b.ledger.controls = []ledger.Control{{Destination: "a b", GoneUntil: time.Date(2026, 11, 2, 11, 0, 0, 0, time.UTC)}}
	require.Equal(t, []string{
		"ingress blob: The ingress is degraded: blob is unavailable.",
		"ingress temporal: The ingress is degraded: temporal is unavailable.",
		"worker scanner: 1 of 2 workers are not ready: scanner is unavailable.",
		"destination crm: crm is down: the destination answered 503. 3 emails wait.",
		"destination a b: a b answered HTTP 410 (gone): nothing is sent until 11:00 UTC or a resume.",
		"destination theirs: theirs is down: the last calls failed.",
	}, b.alertsOf(t, nil))
	require.Equal(t, []string{
		"ingress : The ingress is degraded.",
		"destination crm: crm is down: the destination answered 503. 3 emails wait.",
		"destination a b: a b answered HTTP 410 (gone): nothing is sent until 11:00 UTC or a resume.",
	}, b.alertsOf(t, []string{"default"}), "which dependency, and other tenants' destinations, are for callers of every tenant")

	b.status, b.checks, b.ledger.statuses = "ready", nil, nil
	b.ledger.controls = []ledger.Control{{Destination: "crm", Paused: true, Actor: "olga"}, {Destination: "a b", Paused: true, Actor: "olga"}}
	b.ledger.reports = b.ledger.reports[2:]
	got := b.alertsOf(t, nil)
	require.Len(t, got, 2)
	require.Regexp(t, `^worker : No worker is running: the last one reported \d+m0s ago\. Accepted mail waits\.$`, got[0])
	require.Equal(t, "destination crm: crm is paused by olga. 3 emails wait.", got[1], "a pause by which nothing waits is none")
	b.ledger.reports, b.ledger.controls = nil, nil
	require.Equal(t, []string{"worker : No worker is running: accepted mail waits."}, b.alertsOf(t, nil))
}
