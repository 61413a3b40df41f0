package operations

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mailroom/shared/ledger"
)

// ready is the status of an ingress that lacks nothing.
const ready = "ready"

// helpWithDependency is the section of the manual about a dependency that is unavailable.
var helpWithDependency = map[string]string{
	"postgres": "runbook#accepted-and-not-in-the-list",
	"temporal": "runbook#processing-for-an-hour",
	"blob":     "runbook#storage_unavailable",
	"scanner":  "runbook#scanner_unavailable",
}

// alerts returns what needs attention now, as far as callers with these tenants may know
// it: which dependency is unavailable, and the state of workers, is for callers of every
// tenant (nil), as the details of /readyz are.
func (s *Service) alerts(ctx context.Context, tenants []string) ([]ledger.Alert, error) {
	out := s.ingressAlerts(ctx, tenants == nil)

	if tenants == nil {
		reports, err := s.deps.Ledger.WorkerReports(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, workerAlerts(reports, s.deps.Now())...)
	}

	list, err := s.Destinations(ctx, tenants)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if text := d.trouble(); text != "" {
			out = append(out, ledger.Alert{
				Kind: ledger.AlertDestination, Name: d.Name, Text: text + waiting(d.Backlog), Help: "runbook#downstream_unavailable",
			})
		}
	}
	return out, nil
}

// ingressAlerts says in the words of /readyz what this ingress lacks.
func (s *Service) ingressAlerts(ctx context.Context, details bool) []ledger.Alert {
	status, checks := s.deps.Health(ctx)
	if status == ready {
		return []ledger.Alert{}
	}

	var out []ledger.Alert
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if word := checks[name]; details && word != ledger.CheckOK {
			out = append(out, ledger.Alert{
				Kind: ledger.AlertIngress, Name: name, Text: fmt.Sprintf("The ingress is %s: %s is %s.", status, name, word), Help: helpWithDependency[name],
			})
		}
	}
	if len(out) == 0 {
		out = append(out, ledger.Alert{
			Kind: ledger.AlertIngress, Text: "The ingress is " + status + ".", Help: "runbook#by-symptom",
		})
	}
	return out
}

// workerAlerts says that no worker runs, or what those that run lack.
func workerAlerts(reports []ledger.WorkerReport, now time.Time) []ledger.Alert {
	running, lacking, said := 0, map[string]int{}, map[string]string{}
	var last time.Time
	for _, r := range reports {
		if r.UpdatedAt.After(last) {
			last = r.UpdatedAt
		}
		if !r.Fresh {
			continue
		}
		running++
		for name, word := range r.Checks {
			if word != ledger.CheckOK {
				lacking[name]++
				said[name] = name + ": " + word
				if word == ledger.CheckUnavailable {
					said[name] = name + " is " + word
				}
			}
		}
	}

	if running == 0 {
		text := "No worker is running: accepted mail waits."
		if !last.IsZero() {
			text = fmt.Sprintf("No worker is running: the last one reported %s ago. Accepted mail waits.", now.Sub(last).Round(time.Second))
		}
		return []ledger.Alert{{Kind: ledger.AlertWorker, Text: text, Help: "runbook#worker-down"}}
	}

	var out []ledger.Alert
	for _, name := range slices.Sorted(maps.Keys(lacking)) {
		text := "The worker is not ready: " + said[name] + "."
		if running > 1 {
			text = fmt.Sprintf("%d of %d workers are not ready: %s.", lacking[name], running, said[name])
		}
		out = append(out, ledger.Alert{Kind: ledger.AlertWorker, Name: name, Text: text, Help: helpWithDependency[name]})
	}
	return out
}

// trouble says why the destination receives nothing, in a sentence; empty if it does, and
// for a pause by which nothing waits.
func (row *Destination) trouble() string {
	switch {
	case row.Paused != nil && row.Backlog.Retrying > 0:
		return row.Name + " is paused by " + row.Paused.Actor + "."
	case row.Paused != nil:
		return ""
	case row.GoneUntil != nil:
		return row.Name + " answered HTTP 410 (gone): nothing is sent until " + row.GoneUntil.UTC().Format("15:04 UTC") + " or a resume."
	case row.Breaker == ledger.BreakerOpen || row.Breaker == ledger.BreakerHalfOpen:
		why := strings.TrimSuffix(row.LastFailure, "; it will be tried again")
		if why == "" {
			why = "the last calls failed"
		}
		return row.Name + " is down: " + why + "."
	}
	return ""
}

// waiting says how many emails wait; empty if none does.
func waiting(b ledger.Backlog) string {
	switch b.Retrying {
	case 0:
		return ""
	case 1:
		return " One email waits."
	}
	return fmt.Sprintf(" %d emails wait.", b.Retrying)
}
