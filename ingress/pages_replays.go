package ingress

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/console"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// shownReplays and shownItems bound what a page lists.
const (
	shownReplays = 50
	shownItems   = 200
)

// manyEmails are replays and decisions about many emails, asked for on a page.
type manyEmails struct{ service *batch.Service }

func (m manyEmails) List(ctx context.Context, who access.Identity) ([]console.Replay, error) {
	rows, _, err := m.service.List(ctx, who, access.Operator, "", shownReplays)
	if err != nil {
		return nil, err
	}
	out := make([]console.Replay, 0, len(rows))
	for i := range rows {
		out = append(out, replayOf(&rows[i]))
	}
	return out, nil
}

func (m manyEmails) Find(ctx context.Context, who access.Identity, id int64) (*console.Replay, error) {
	row, err := m.service.Find(ctx, who, access.Operator, id)
	if err != nil {
		return nil, err
	}
	out := replayOf(row)
	return &out, nil
}

func (m manyEmails) Items(ctx context.Context, id int64) ([]console.ReplayItem, error) {
	items, _, err := m.service.Items(ctx, ledger.ReplayItemFilter{ReplayID: id, Limit: shownItems})
	if err != nil {
		return nil, err
	}
	out := make([]console.ReplayItem, 0, len(items))
	for _, i := range items {
		id := i.EventID
		if i.Code == ledger.ItemDuplicate {
			id = i.WorkflowID
		}
		row := console.ReplayItem{Number: i.Number, EventID: id, Source: i.Source, Result: string(i.State), Detail: i.Detail, At: i.At}
		if row.Detail == "" {
			row.Detail = strings.ReplaceAll(string(i.Code), "_", " ")
		}
		out = append(out, row)
	}
	return out, nil
}

func (m manyEmails) Plan(ctx context.Context, who access.Identity, in console.ReplayRequest) (int64, error) {
	rate, f := float64(in.Rate), in.Filter
	row, err := m.service.Create(ctx, who, contract.ViaConsole, batch.Request{
		Filter: batch.Filter{
			State: f.State, Reason: f.Reason, Source: f.Source, Tenant: f.Tenant, Sender: f.Sender, Recipient: f.Recipient,
			Destination: f.Destination, Since: f.Since, Until: f.Until, Query: f.Query,
		},
		Action: contract.Action(in.Action), From: in.From, Rate: &rate, Note: in.Note, NewEffect: in.NewEffect, DryRun: true,
	})
	if err != nil {
		return 0, err
	}
	return row.ID, nil
}

func (m manyEmails) Start(ctx context.Context, who access.Identity, dryRun, count int64) (int64, error) {
	row, err := m.service.Start(ctx, who, contract.ViaConsole, dryRun, count)
	if err != nil {
		return 0, err
	}
	return row.ID, nil
}

func (m manyEmails) Steer(ctx context.Context, who access.Identity, id int64, verb string) error {
	row, err := m.service.Find(ctx, who, access.Operator, id)
	if err != nil {
		return err
	}
	_, err = m.service.Control(ctx, who, contract.ViaConsole, row, verb, nil)
	return err
}

func replayOf(row *ledger.ReplayRow) console.Replay {
	out := console.Replay{
		ID: row.ID, Action: string(row.Action), From: row.From, State: string(row.State), Actor: row.Actor, Note: row.Note, Rate: row.Rate,
		Total: row.Total, Done: row.Done, Skipped: row.Skipped, Failed: row.Failed, StartedAt: row.CreatedAt, Filter: row.Filter,
		NewEffect: row.NewEffect, DryRun: row.DryRun,
	}
	if row.StartedAs != nil {
		out.StartedAs = *row.StartedAs
	}
	if row.EndedAt != nil {
		out.FinishedAt = *row.EndedAt
	}
	if row.DryRun && row.Preview != nil {
		out.Plan = planOf(row.Preview)
	}
	return out
}

func planOf(p *ledger.ReplayPreview) *console.Plan {
	out := &console.Plan{Count: p.Total, Evaluated: p.Evaluated, Changed: p.Changed}
	codes := slices.SortedFunc(maps.Keys(p.Would), func(a, b ledger.ReplayCode) int {
		return cmp.Or(cmp.Compare(p.Would[b], p.Would[a]), cmp.Compare(a, b))
	})
	for _, code := range codes {
		out.Would = append(out.Would, console.Would{What: string(code), Count: p.Would[code]})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Begins)) {
		out.Begins = append(out.Begins, console.Would{What: name, Count: p.Begins[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(p.HeldAgain)) {
		out.HeldAgain = append(out.HeldAgain, console.Would{What: name, Count: p.HeldAgain[name]})
	}
	for _, s := range p.Sample {
		out.Sample = append(out.Sample, console.PlanItem{Number: s.Number, EventID: s.EventID, Source: s.Source, Effect: effectOf(s)})
	}
	return out
}

// effectOf says in lines what would become of one email.
func effectOf(s ledger.ReplaySample) string {
	lines := []string{strings.ReplaceAll(string(s.Would), "_", " ")}
	if s.Error != "" {
		lines = append(lines, s.Error)
	}
	for _, c := range s.Changes {
		lines = append(lines, c.Field+": "+cmp.Or(c.Before, "nothing")+" → "+cmp.Or(c.After, "nothing"))
	}
	return strings.Join(lines, "\n")
}
