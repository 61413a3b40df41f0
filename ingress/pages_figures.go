package ingress

import (
	"context"
	"fmt"
	"math"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
)

// figures are the ledger's numbers as the console draws them.
type figures struct{ operations *operations.Service }

func (f figures) Held(ctx context.Context, tenants console.Tenants) ([]console.Holding, error) {
	o, err := f.Overview(ctx, tenants)
	return o.Held, err
}

func (f figures) Overview(ctx context.Context, tenants console.Tenants) (console.Overview, error) {
	o, err := f.operations.Overview(ctx, tenants)
	if err != nil {
		return console.Overview{}, err
	}
	out := console.Overview{InboxDepth: o.Inbox.Waiting, Reminded: o.Attention.Reminded, Escalated: o.Attention.Escalated}
	if o.Inbox.Waiting > 0 {
		out.InboxOldest = o.Now.Add(-seconds(o.Inbox.OldestSeconds))
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
	if a := o.Ack; a != nil && a.Count > 0 {
		out.Latencies = append(out.Latencies, console.Latency{
			Name: "Answer to the sender, " + share(a.Within, a.Count) + " in time",
			P50:  seconds(a.P50), P95: seconds(a.P95), P99: seconds(a.P99), Objective: seconds(a.ObjectiveSeconds),
		})
	}
	if l := o.Latency; l.Count > 0 {
		out.Latencies = append(out.Latencies, console.Latency{
			Name: "From receipt to the end, " + share(l.Within, l.Count) + " in time",
			P50:  seconds(l.P50), P95: seconds(l.P95), P99: seconds(l.P99), Objective: seconds(l.ObjectiveSeconds),
		})
	}
	return out, nil
}

// share gives a part of a whole in percent, rounded down: 100 % means all.
func share(part, whole int64) string {
	return fmt.Sprintf("%.2f %%", math.Floor(float64(part)/float64(whole)*1e4)/100)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// timelines tell the way of an email as the ledger has it.
type timelines struct{ views *postgres.Views }

func (t timelines) Timeline(ctx context.Context, email *ledger.EmailDetail) ([]console.Moment, error) {
	entries, err := t.views.Timeline(ctx, email.ID)
	if err != nil {
		return nil, err
	}
	out := make([]console.Moment, 0, len(entries))
	for _, e := range entries {
		out = append(out, console.Moment{At: e.At, Kind: string(e.Kind), Title: e.Title, Detail: e.Detail, Actor: e.Actor, Via: e.Via})
	}
	return out, nil
}

// destinations are those of the operations, by which the console pauses and resumes too.
type destinations struct{ operations *operations.Service }

func (d destinations) List(ctx context.Context) ([]console.Destination, error) {
	who := access.From(ctx)
	tenants, _ := who.Tenants(access.Viewer)
	list, err := d.operations.Destinations(ctx, tenants)
	if err != nil {
		return nil, err
	}
	out := make([]console.Destination, 0, len(list))
	for _, to := range list {
		row := console.Destination{
			Name: to.Name, URL: to.Host, Backlog: to.Backlog.Retrying, Failed: to.Backlog.Held, InFlight: to.InFlight, Breaker: to.Breaker,
			MayPause: d.operations.MayPause(who, to.Name),
		}
		if to.Backlog.Oldest != nil {
			row.Oldest = *to.Backlog.Oldest
		}
		if to.GoneUntil != nil {
			row.GoneUntil = *to.GoneUntil
		}
		if p := to.Paused; p != nil {
			row.Paused, row.PausedBy, row.PausedAt, row.Note = true, p.Actor, p.At, p.Note
		}
		out = append(out, row)
	}
	return out, nil
}

func (d destinations) Pause(ctx context.Context, who access.Identity, name, note string) error {
	return d.operations.SetPaused(ctx, who, contract.ViaConsole, name, true, note)
}

func (d destinations) Resume(ctx context.Context, who access.Identity, name, note string) error {
	return d.operations.SetPaused(ctx, who, contract.ViaConsole, name, false, note)
}
