package ingress

import (
	"context"
	"slices"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/console"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
)

// figures are the ledger's numbers as the console draws them.
type figures struct{ db *postgres.DB }

func (f figures) Held(ctx context.Context, tenants console.Tenants) ([]console.Holding, error) {
	o, err := f.Overview(ctx, tenants)
	return o.Held, err
}

func (f figures) Overview(ctx context.Context, tenants console.Tenants) (console.Overview, error) {
	now := time.Now()
	o, err := f.db.Overview(ctx, now, tenants)
	if err != nil {
		return console.Overview{}, err
	}
	out := console.Overview{InboxDepth: o.Inbox.Waiting}
	if o.Inbox.Waiting > 0 {
		out.InboxOldest = now.Add(-seconds(o.Inbox.OldestSeconds))
	}
	for _, s := range o.States {
		out.States = append(out.States, console.StateCount{State: s.State, Count: s.Count})
	}
	for _, h := range o.Held {
		out.Held = append(out.Held, console.Holding{Reason: h.Reason, Count: h.Count, Oldest: h.Oldest})
	}
	for _, m := range o.Rate {
		out.Rate = append(out.Rate, console.RatePoint{At: m.At, Received: m.Accepted, Delivered: m.Delivered})
	}
	if l := o.Latency; l.Count > 0 {
		out.Latencies = []console.Latency{{
			Name: "From receipt to the end", P50: seconds(l.P50), P95: seconds(l.P95), P99: seconds(l.P99), Objective: seconds(l.ObjectiveSeconds),
		}}
	}
	return out, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// timelines tell the way of an email as the ledger has it.
type timelines struct{ db *postgres.DB }

func (t timelines) Timeline(ctx context.Context, email *ledger.EmailDetail) ([]console.Moment, error) {
	entries, err := t.db.Timeline(ctx, email.ID)
	if err != nil {
		return nil, err
	}
	out := make([]console.Moment, 0, len(entries))
	for _, e := range entries {
		out = append(out, console.Moment{At: e.At, Kind: string(e.Kind), Title: e.Title, Detail: e.Detail, Actor: e.Actor, Via: e.Via})
	}
	return out, nil
}

// destinations are the configured ones with what the workers and people say of them.
type destinations struct {
	db         *postgres.DB
	configured []config.Destination
}

func (d destinations) List(ctx context.Context) ([]console.Destination, error) {
	controls, err := d.db.Controls(ctx)
	if err != nil {
		return nil, err
	}
	statuses, err := d.db.DestinationStatuses(ctx)
	if err != nil {
		return nil, err
	}
	backlogs, err := d.db.Backlogs(ctx, nil)
	if err != nil {
		return nil, err
	}
	out := make([]console.Destination, 0, len(d.configured))
	for _, c := range d.configured {
		row := console.Destination{Name: c.Name, URL: c.URL, Backlog: backlogs[c.Name].Retrying, Failed: backlogs[c.Name].Held}
		if oldest := backlogs[c.Name].Oldest; oldest != nil {
			row.Oldest = *oldest
		}
		for _, control := range controls {
			if control.Destination == c.Name && control.Paused {
				row.Paused, row.PausedBy, row.PausedAt, row.Note = true, control.Actor, control.At, control.Note
			}
		}
		for _, s := range statuses {
			if s.Destination != c.Name || !s.Fresh {
				continue
			}
			row.InFlight += s.InFlight
			row.Breaker = worse(row.Breaker, s.Breaker)
		}
		out = append(out, row)
	}
	return out, nil
}

// worse gives the state that stops more of two breakers of one destination.
func worse(a, b string) string {
	order := []string{"", ledger.BreakerClosed, ledger.BreakerHalfOpen, ledger.BreakerOpen}
	return order[max(slices.Index(order, a), slices.Index(order, b), 0)]
}

func (d destinations) Pause(ctx context.Context, who access.Identity, name, note string) error {
	return d.control(ctx, who, name, note, true)
}

func (d destinations) Resume(ctx context.Context, who access.Identity, name, note string) error {
	return d.control(ctx, who, name, note, false)
}

func (d destinations) control(ctx context.Context, who access.Identity, name, note string, paused bool) error {
	if !slices.ContainsFunc(d.configured, func(c config.Destination) bool { return c.Name == name }) {
		return fault.New(fault.NotFound, "there is no such destination")
	}
	return d.db.SetControl(ctx, ledger.Control{Destination: name, Paused: paused, Actor: who.Name, Note: note, At: time.Now()}, contract.ViaConsole)
}
