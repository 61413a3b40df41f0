package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Bounds of a dry run.
const (
	previewRead  = 500 // emails that are read with today's parser and rules
	previewShown = 50
)

// PreviewLedger counts what a replay is about, and keeps what a dry run found.
type PreviewLedger interface {
	PreviewReplay(ctx context.Context, r *ledger.ReplayRow, limit int) ([]ledger.ReplayGroup, []ledger.ReplayEmail, error)
	SaveReplayPreview(ctx context.Context, id int64, p *ledger.ReplayPreview) error
}

// StoredEmails reads how emails were processed.
type StoredEmails interface {
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	// Destinations lists where an email has a delivery, sorted.
	Destinations(ctx context.Context, emailID int64) ([]string, error)
}

// ReplayPreviewDeps is what ReplayPreview needs; all of it is required.
type ReplayPreviewDeps struct {
	Rows     ReplayRows
	Ledger   PreviewLedger
	Emails   StoredEmails
	Store    *Store // reads raw mail as it would be stored today
	Messages MessageReader
	Rules    Router
}

// ReplayPreview finds out what a replay would do.
type ReplayPreview struct{ deps ReplayPreviewDeps }

// NewReplayPreview checks that nothing is missing.
func NewReplayPreview(deps ReplayPreviewDeps) (*ReplayPreview, error) {
	if deps.Rows == nil || deps.Ledger == nil || deps.Emails == nil || deps.Store == nil || deps.Messages == nil || deps.Rules == nil {
		return nil, errors.New("replay preview: a dependency is missing")
	}
	return &ReplayPreview{deps: deps}, nil
}

// PreviewReplay finds out what a replay would do and keeps it: counts for all its
// emails, and for a sample what would change. It has no effect but that, and is
// idempotent on ID.
func (s *ReplayPreview) PreviewReplay(ctx context.Context, in contract.ReplayChunkInput) (out contract.ReplayChunkResult, err error) {
	defer translateError(ctx, contract.Email{}, &err)
	defer startHeartbeat(ctx, 0)()

	row, _, err := s.deps.Rows.TakeReplay(ctx, in.ID)
	if err != nil {
		return out, fmt.Errorf("take replay: %w", err)
	}
	if row.State.Final() {
		return contract.ReplayChunkResult{Progress: row.Progress()}, nil
	}

	limit := previewShown
	if row.Action == ledger.ActionReplay && row.FromStep() != "" {
		limit = previewRead
	}
	groups, sample, err := s.deps.Ledger.PreviewReplay(ctx, row, limit)
	if err != nil {
		return out, fmt.Errorf("count: %w", err)
	}

	p := count(row, groups)
	for i := range sample {
		one, read := s.readToday(ctx, row, &sample[i])
		if ctx.Err() != nil {
			return out, fmt.Errorf("read sample: %w", ctx.Err())
		}
		if read {
			p.Evaluated++
		}
		if len(one.Changes) > 0 {
			p.Changed++
		}
		p.Sample = append(p.Sample, one)
	}

	slices.SortStableFunc(p.Sample, func(a, b ledger.ReplaySample) int {
		return cmp.Compare(min(len(b.Changes), 1), min(len(a.Changes), 1))
	})
	p.Sample = p.Sample[:min(len(p.Sample), previewShown)]

	if err := s.deps.Ledger.SaveReplayPreview(ctx, row.ID, p); err != nil {
		return out, fmt.Errorf("save preview: %w", err)
	}
	if row, err = s.deps.Rows.Replay(ctx, row.ID); err != nil {
		return out, fmt.Errorf("read replay: %w", err)
	}
	return contract.ReplayChunkResult{Progress: row.Progress()}, nil
}

func count(row *ledger.ReplayRow, groups []ledger.ReplayGroup) *ledger.ReplayPreview {
	p := &ledger.ReplayPreview{
		ByState: map[string]int64{}, ByReason: map[string]int64{}, Would: map[ledger.ReplayCode]int64{}, Sample: []ledger.ReplaySample{},
		Begins: map[string]int64{}, HeldAgain: map[string]int64{},
	}

	for _, g := range groups {
		p.Total += g.Count
		p.ByState[string(g.State)] += g.Count
		if g.Reason != "" {
			p.ByReason[string(g.Reason)] += g.Count
		}
		code := outcomeOf(row, g.State, g.ContentRemoved)
		p.Would[code] += g.Count
		if code != ledger.ItemStarted {
			continue
		}

		p.Begins[ledger.ReplayFrom(beginsAt(row.FromStep(), g.Earliest))] += g.Count
		for _, r := range g.Open {
			if r.Judged() {
				p.HeldAgain[string(r)] += g.Count
			}
		}
	}
	return p
}

// readToday reads one email as it would be read today.
func (s *ReplayPreview) readToday(ctx context.Context, row *ledger.ReplayRow, e *ledger.ReplayEmail) (one ledger.ReplaySample, read bool) {
	one = ledger.ReplaySample{
		Number:  e.ID,
		EventID: e.EventID, Source: e.Source, State: e.State, Reason: e.Reason,
		Would: outcomeOf(row, e.State, e.ContentRemoved), Changes: []ledger.Change{},
	}
	if one.Would == ledger.ItemStarted {
		one.Begins, one.HeldAgain = ledger.ReplayFrom(beginsAt(row.FromStep(), e.Earliest)), heldAgain(e.Open)
	}

	acts := one.Would == ledger.ItemDecided || one.Would == ledger.ItemStarted
	if row.Action != ledger.ActionReplay || row.FromStep() == "" || !acts || e.ContentRemoved {
		return one, false
	}
	before, after, err := s.beforeAndAfter(ctx, row.FromStep(), e)
	if err != nil {
		one.Error = fault.From(err).Public
		return one, false
	}
	one.Changes = changes(before, after)
	return one, true
}

// picture is what a person compares.
type picture struct {
	edit.Picture
	routes, holds []string
}

func (s *ReplayPreview) beforeAndAfter(ctx context.Context, from contract.Step, e *ledger.ReplayEmail) (before, after picture, err error) {
	old, err := s.deps.Emails.Manifest(ctx, e.ID)
	if err != nil {
		return before, after, fmt.Errorf("read manifest: %w", err)
	}
	message, err := s.deps.Messages.Message(ctx, old)
	if err != nil {
		return before, after, fmt.Errorf("read message: %w", err)
	}

	before.Picture, before.routes = edit.Picture{Manifest: *old, Message: *message}, old.Routes
	after = before
	if from == contract.StepStore {
		today, mail, holds, err := s.deps.Store.reread(ctx, e.Email())
		if err != nil {
			return before, after, err
		}
		after.Manifest, after.Message = *today, *mail
		after.Manifest.Overlay = old.Overlay
		after.holds = reasonsOf(holds)
	}

	result := s.deps.Rules.Route(contract.RouteInput{Email: e.Email()}, &after.Manifest, &after.Message)
	if edit := old.Overlay; edit != nil {
		before.Picture, after.Picture = before.Apply(*edit), after.Apply(*edit)
	}
	if before.Destinations, err = s.deps.Emails.Destinations(ctx, e.ID); err != nil {
		return before, after, fmt.Errorf("read destinations: %w", err)
	}

	after.routes, after.Destinations = result.Routes, slices.Sorted(slices.Values(result.Destinations))
	after.holds = append(after.holds, reasonsOf(result.Holds)...)
	if e.State == contract.Quarantined && e.Reason != "" {
		before.holds = []string{string(e.Reason)}
	}
	return before, after, nil
}

func reasonsOf(holds []contract.Hold) []string {
	var out []string
	for _, h := range holds {
		out = append(out, string(h.Reason))
	}
	return out
}

// changes lists what differs. Of a text only its length is kept: a preview is a row
// of the ledger.
func changes(before, after picture) []ledger.Change {
	size := func(s string) string { return fmt.Sprintf("%d bytes", len(s)) }
	out := []ledger.Change{}
	for _, c := range edit.Diff(before.Picture, after.Picture) {
		switch c.Field {
		case "text":
			c.Before, c.After = size(before.Message.Text), size(after.Message.Text)
		case "html":
			c.Before, c.After = size(before.Message.HTML), size(after.Message.HTML)
		}
		out = append(out, c)
	}

	for _, list := range []struct {
		field string
		a, b  []string
	}{{"routes", before.routes, after.routes}, {"holds", before.holds, after.holds}} {
		if a, b := strings.Join(list.a, ", "), strings.Join(list.b, ", "); a != b {
			out = append(out, ledger.Change{Field: list.field, Before: a, After: b})
		}
	}
	return out
}
