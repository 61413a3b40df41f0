// Package batch starts and controls replays and decisions about many emails, for the API
// and the console.
//
// Invariants: requests are checked here and nowhere else; a caller changes, and sees
// batches of, only tenants in which it has the role; a batch is written down before it
// starts, so that Temporal may be unavailable; a batch that is started from a dry run
// covers what that dry run counted, or less; a dry run, and a key of the caller, starts
// one batch, however often it is requested.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/reason"
)

const (
	// Most dry runs end within dryRunWait; until then the request waits for the result.
	dryRunWait = 8 * time.Second
	dryRunPoll = 150 * time.Millisecond
	// startable is how long what a dry run counted may be started.
	startable = 30 * time.Minute

	missing = "there is no such replay"
)

// Ledger keeps replays.
type Ledger interface {
	// CreateReplay returns the replay that the same dry run or key has started, if any.
	CreateReplay(ctx context.Context, in ledger.NewReplay) (id int64, created bool, err error)
	Replay(ctx context.Context, id int64) (*ledger.ReplayRow, error)
	// Replays lists those that were restricted to the filter's tenants; nil means all.
	Replays(ctx context.Context, f ledger.ReplayFilter) ([]ledger.ReplayRow, string, error)
	ReplayOutcomes(ctx context.Context, id int64) (*ledger.ReplayOutcomes, error)
	ReplayItems(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error)
	AppendAudit(ctx context.Context, r ledger.AuditRecord) (int64, error)
}

// Runner runs replays.
type Runner interface {
	// StartReplay starts a replay that is written down; a repeat changes nothing.
	StartReplay(ctx context.Context, id int64, dryRun bool) error
	ControlReplay(ctx context.Context, id int64, name string, rate *contract.ReplayRate) (contract.ReplayProgress, error)
}

// Deps is what a Service needs; all but Now is required.
type Deps struct {
	Ledger Ledger
	Runner Runner
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

// Service starts and controls replays. It is safe for concurrent use.
type Service struct{ deps Deps }

// New checks that nothing is missing.
func New(deps Deps) (*Service, error) {
	if deps.Ledger == nil || deps.Runner == nil || deps.Logger == nil {
		return nil, errors.New("batch service: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Service{deps: deps}, nil
}

// Create writes a replay down, starts it and returns it. It waits a moment for the end of
// a dry run. Without a tenant the replay covers those that the caller may decide for. A key
// that has started a replay of the caller returns that one. It fails with
// fault.RequestInvalid, fault.Forbidden, fault.NotFound for a tenant in which the
// caller has no role, or fault.DecisionRefused where the key has started something else.
func (s *Service) Create(ctx context.Context, who access.Identity, via contract.Via, in Request) (*ledger.ReplayRow, error) {
	asked, err := in.check()
	if err != nil {
		return nil, err
	}
	if tenant := asked.Filter.Tenant; tenant != "" {
		if err := who.Require(tenant, access.Operator, "there is no such tenant"); err != nil {
			return nil, err
		}
	} else {
		asked.Filter.Tenants, _ = who.Tenants(access.Operator)
	}
	return s.begin(ctx, who, via, asked)
}

func (s *Service) begin(ctx context.Context, who access.Identity, via contract.Via, asked ledger.NewReplay) (*ledger.ReplayRow, error) {
	asked.Actor, asked.Person, asked.Via = who.Name, who.Person, via
	id, created, err := s.deps.Ledger.CreateReplay(ctx, asked)
	if err != nil {
		return nil, err
	}

	if created {
		s.deps.Logger.Info("replay.created", slog.Int64("replay", id), slog.String("action", string(asked.Action)),
			slog.Bool("dry_run", asked.DryRun), slog.String("actor", who.Name))
	} else if row, err := s.begun(ctx, id, asked); err != nil || row.State.Final() {
		return row, err
	}

	// It is written down: without Temporal it starts once Temporal has recovered.
	if err := s.deps.Runner.StartReplay(ctx, id, asked.DryRun); err != nil {
		s.deps.Logger.Warn("replay.waits", slog.Int64("replay", id), slog.Any("error", err))
	} else if asked.DryRun {
		s.await(ctx, id)
	}

	return warned(s.deps.Ledger.Replay(ctx, id))
}

// warned adds to a replay what has to be known before it is started: what it does against
// the advice of the reason that it is about.
func warned(row *ledger.ReplayRow, err error) (*ledger.ReplayRow, error) {
	if err != nil || row.Filter.Reason == "" || row.Action == contract.Discard {
		return row, err
	}
	if x := reason.Text(row.Filter.Reason); x.Risky(row.Action) {
		row.Warning = "This " + x.Does(row.Action) + ", for every one of them. " + x.Next
	}
	return row, nil
}

// begun returns the replay that the same dry run or key has started.
func (s *Service) begun(ctx context.Context, id int64, asked ledger.NewReplay) (*ledger.ReplayRow, error) {
	row, err := s.deps.Ledger.Replay(ctx, id)
	if err == nil && asked.StartedFrom == 0 && !asksFor(row, asked) {
		return nil, fault.New(fault.DecisionRefused, "this key has started another replay: nothing was started")
	}
	return row, err
}

// await waits a moment for the end of a dry run.
func (s *Service) await(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(ctx, dryRunWait)
	defer cancel()
	ticker := time.NewTicker(dryRunPoll)
	defer ticker.Stop()
	for {
		if row, err := s.deps.Ledger.Replay(ctx, id); err != nil || row.State.Final() {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Start starts what a dry run has counted. count is the number that the caller read there
// and must be the same. Emails received after the dry run are left out. A repeat, by any
// caller, returns the replay that was started. It fails with fault.DecisionRefused where
// the number differs, or the dry run has no result yet or is too old.
func (s *Service) Start(ctx context.Context, who access.Identity, via contract.Via, dryRun, count int64) (*ledger.ReplayRow, error) {
	row, err := s.Find(ctx, who, access.Operator, dryRun)
	if err != nil {
		return nil, err
	}

	switch {
	case !row.DryRun:
		return nil, fault.New(fault.DecisionRefused, "This is not a dry run: it has been started already.")
	case row.Preview == nil:
		return nil, fault.New(fault.DecisionRefused, "The dry run has not counted the emails yet. Nothing was started: wait for its result.")
	case count != row.Preview.Total:
		return nil, fault.New(fault.DecisionRefused, "The number typed is not the number of emails. Nothing was started.")
	case row.StartedAs != nil:
		return s.deps.Ledger.Replay(ctx, *row.StartedAs)
	case s.deps.Now().Sub(row.CreatedAt) > startable:
		return nil, fault.New(fault.DecisionRefused, "The dry run is too old to say what would happen. Nothing was started: count again.")
	case count == 0:
		return nil, fault.New(fault.DecisionRefused, "There is nothing to start.")
	}

	asked := ledger.NewReplay{
		Action: row.Action, From: row.FromStep(), Filter: row.Filter, NewEffect: row.NewEffect, Note: row.Note, Rate: row.Rate, AtOnce: row.AtOnce,
		StartedFrom: row.ID,
	}
	if asked.Filter.Until.IsZero() || asked.Filter.Until.After(row.CreatedAt) {
		asked.Filter.Until = row.CreatedAt
	}

	return s.begin(ctx, who, via, asked)
}

// Find returns a replay to a caller with at least the role least in every tenant whose
// mail it may change. It is not found for a caller without a role in one of them.
func (s *Service) Find(ctx context.Context, who access.Identity, least access.Role, id int64) (*ledger.ReplayRow, error) {
	row, err := warned(s.deps.Ledger.Replay(ctx, id))
	if err != nil {
		return nil, err
	}

	tenants := row.Filter.Tenants
	if row.Filter.Tenant != "" {
		tenants = []string{row.Filter.Tenant}
	} else if tenants == nil {
		tenants = []string{access.Everywhere}
	}

	for _, t := range tenants {
		if err := who.Require(t, least, missing); err != nil {
			return nil, err
		}
	}

	return row, nil
}

// List returns a page of the replays of the tenants in which the caller has at least
// the role least, newest first, and the cursor of the next one.
func (s *Service) List(ctx context.Context, who access.Identity, least access.Role, f ledger.ReplayFilter) ([]ledger.ReplayRow, string, error) {
	f.Tenants, _ = who.Tenants(least)
	return s.deps.Ledger.Replays(ctx, f)
}

// Outcomes adds to a replay that Find returned what became of its emails.
func (s *Service) Outcomes(ctx context.Context, row *ledger.ReplayRow) (err error) {
	if row.DryRun {
		return nil
	}
	row.Outcomes, err = s.deps.Ledger.ReplayOutcomes(ctx, row.ID)
	return err
}

// Items returns a page of the emails that a replay has reached. Find has checked whether
// the caller may see them.
func (s *Service) Items(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	return s.deps.Ledger.ReplayItems(ctx, f)
}

// Control pauses, resumes or stops a replay that Find returned, or sets its rate with
// ReplaySetRate, and returns it.
func (s *Service) Control(ctx context.Context, who access.Identity, via contract.Via, row *ledger.ReplayRow, name string, rate *contract.ReplayRate,
) (*ledger.ReplayRow, error) {
	if rate != nil {
		if err := checkRate(rate.Rate); err != nil {
			return nil, err
		}
	}

	if _, err := s.deps.Runner.ControlReplay(ctx, row.ID, name, rate); err != nil {
		return nil, err
	}

	s.deps.Logger.Info("replay.controlled", slog.Int64("replay", row.ID), slog.String("control", name), slog.String("actor", who.Name))
	body, err := json.Marshal(map[string]any{"replay": row.ID, "control": name, "rate": rate})
	if err == nil {
		_, err = s.deps.Ledger.AppendAudit(ctx, ledger.AuditRecord{
			Kind: ledger.AuditReplay, Tenant: row.Filter.Tenant, Actor: who.Name, Via: string(via), Body: body,
		})
	}

	if err != nil { // the control is in effect all the same
		s.deps.Logger.Error("replay.audit", slog.Int64("replay", row.ID), slog.Any("error", err))
	}

	return s.deps.Ledger.Replay(ctx, row.ID)
}
