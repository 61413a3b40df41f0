package operator

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Replays keeps replays.
type Replays interface {
	CreateReplay(ctx context.Context, in ledger.NewReplay) (int64, error)
	Replay(ctx context.Context, id int64) (*ledger.ReplayRow, error)
	// Replays lists those that were limited to tenants; nil means all.
	Replays(ctx context.Context, tenants []string, cursor string, limit int) ([]ledger.ReplayRow, string, error)
	ReplayItems(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error)
	AppendAudit(ctx context.Context, r ledger.AuditRecord) (int64, error)
}

// ReplayRunner carries replays out.
type ReplayRunner interface {
	// StartReplay begins a replay that is written down; a repeat changes nothing.
	StartReplay(ctx context.Context, id int64, dryRun bool) error
	ControlReplay(ctx context.Context, id int64, name string, rate *contract.ReplayRate) (contract.ReplayProgress, error)
}

const (
	// defaultReplayRate is the rate of a replay that names none, in emails per second:
	// destinations get mail beside what comes in.
	defaultReplayRate = 50
	maxReplayBody     = maxDecision + 16*maxParameter
	// A dry run is mostly over within dryRunWait, and is answered then.
	dryRunWait = 8 * time.Second
	dryRunLook = 150 * time.Millisecond
)

// replayRoutes are about replays and decisions about many emails.
func (h *handler) replayRoutes() []access.Route {
	if h.replays == nil || h.runner == nil {
		return nil
	}
	const one = "/api/v1/replays/:id"
	return []access.Route{
		{Method: http.MethodPost, Path: "/api/v1/replays", Least: access.Operator, Handle: h.createReplay},
		{Method: http.MethodGet, Path: "/api/v1/replays", Least: access.Viewer, Handle: h.listReplays},
		{Method: http.MethodGet, Path: one, Least: access.Viewer, Handle: h.showReplay},
		{Method: http.MethodGet, Path: one + "/items", Least: access.Viewer, Handle: h.listReplayItems},
		{Method: http.MethodPost, Path: one + "/pause", Least: access.Operator, Handle: h.controlReplay(contract.ReplayPause)},
		{Method: http.MethodPost, Path: one + "/resume", Least: access.Operator, Handle: h.controlReplay(contract.ReplayResume)},
		{Method: http.MethodPost, Path: one + "/stop", Least: access.Operator, Handle: h.controlReplay(contract.ReplayStop)},
		{Method: http.MethodPost, Path: one + "/rate", Least: access.Operator, Handle: h.controlReplay(contract.ReplaySetRate)},
	}
}

// replayRequest asks for a replay. Who asks is not in it.
type replayRequest struct {
	Filter replayFilter `json:"filter"`
	// Action is replay, approve, discard or retry; empty means replay.
	Action contract.Action `json:"action"`
	From   string          `json:"from"`
	// Rate is emails per second; 0 is as fast as it goes. A replay that names none
	// has a moderate one, a decision none.
	Rate      *float64 `json:"rate"`
	AtOnce    int      `json:"at_once"`
	Note      string   `json:"note"`
	DryRun    bool     `json:"dry_run"`
	NewEffect bool     `json:"new_effect"`
}

// replayFilter is what a caller may say of a ledger.Filter.
type replayFilter struct {
	State       contract.State  `json:"state"`
	Reason      contract.Reason `json:"reason"`
	Source      string          `json:"source"`
	Tenant      string          `json:"tenant"`
	Sender      string          `json:"sender"`
	Recipient   string          `json:"recipient"`
	Destination string          `json:"destination"`
	Since       time.Time       `json:"since"`
	Until       time.Time       `json:"until"`
	Query       string          `json:"q"`
}

func (h *handler) createReplay(c *gin.Context) error {
	var in replayRequest
	if err := readObject(c, &in, maxReplayBody); err != nil {
		return err
	}
	asked, err := in.check()
	if err != nil {
		return err
	}
	who := caller(c)
	if tenant := asked.Filter.Tenant; tenant != "" {
		if err := visible(c, tenant, "there is no such tenant"); err != nil {
			return err
		}
		if err := permit(c, tenant, access.Operator); err != nil {
			return err
		}
	} else if tenants, all := who.Tenants(access.Operator); !all {
		asked.Filter.Tenants = tenants
	}
	asked.Actor, asked.Via = who.Name, viaOf(c)
	id, err := h.replays.CreateReplay(c.Request.Context(), asked)
	if err != nil {
		return err
	}
	h.logger.Info("replay.created", slog.Int64("replay", id), slog.String("action", string(asked.Action)),
		slog.Bool("dry_run", asked.DryRun), slog.String("actor", who.Name))
	// It is written down: where Temporal is away it begins once that is back.
	if err := h.runner.StartReplay(c.Request.Context(), id, asked.DryRun); err != nil {
		h.logger.Warn("replay.waits", slog.Int64("replay", id), slog.Any("error", err))
	} else if asked.DryRun {
		h.awaitDryRun(c.Request.Context(), id)
	}
	return h.answerReplay(c, id)
}

// awaitDryRun waits a little for the end of a dry run.
func (h *handler) awaitDryRun(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(ctx, dryRunWait)
	defer cancel()
	ticker := time.NewTicker(dryRunLook)
	defer ticker.Stop()
	for {
		if row, err := h.replays.Replay(ctx, id); err != nil || row.State.Final() {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *handler) answerReplay(c *gin.Context, id int64) error {
	row, err := h.replays.Replay(c.Request.Context(), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// check makes of the request what is written down.
func (in *replayRequest) check() (ledger.NewReplay, error) {
	out := ledger.NewReplay{Action: in.Action, DryRun: in.DryRun, NewEffect: in.NewEffect, Note: in.Note, AtOnce: in.AtOnce}
	if out.Action == "" {
		out.Action = ledger.ActionReplay
	}
	bulk := out.Action != ledger.ActionReplay
	switch in.From {
	case "", ledger.FromHeld:
	case ledger.FromRoute, "routing":
		out.From = contract.StepRoute
	case ledger.FromRaw, "store":
		out.From = contract.StepStore
	default:
		return out, fault.Newf(fault.RequestInvalid, "from must be %s, %s or %s", ledger.FromHeld, ledger.FromRoute, ledger.FromRaw)
	}
	if in.Rate != nil {
		out.Rate = *in.Rate
	} else if !bulk {
		out.Rate = defaultReplayRate
	}
	var err error
	if out.Filter, err = in.Filter.check(); err != nil {
		return out, err
	}
	onlyHeld := bulk || out.From == ""
	switch {
	case !slices.Contains([]contract.Action{ledger.ActionReplay, contract.Approve, contract.Discard, contract.Retry}, out.Action):
		return out, fault.New(fault.RequestInvalid, "action must be replay, approve, discard or retry")
	case bulk && out.From != "" && out.Action != contract.Retry:
		return out, fault.New(fault.RequestInvalid, "from goes with the actions replay and retry alone")
	case in.NewEffect && (bulk || out.From == ""):
		return out, fault.New(fault.RequestInvalid, "new_effect goes with the action replay from route or raw")
	case onlyHeld && out.Filter.State != "" && out.Filter.State != contract.Quarantined:
		return out, fault.New(fault.RequestInvalid, "only held emails, in the state quarantined, can be decided about")
	case out.Action == contract.Approve && out.Filter.Reason == "":
		return out, fault.New(fault.RequestInvalid, "filter.reason must say what is approved: many emails are not approved for whatever holds them")
	case math.IsNaN(out.Rate) || out.Rate < 0 || out.Rate > contract.MaxReplayRate:
		return out, fault.Newf(fault.RequestInvalid, "rate must be from 0 to %d emails per second", contract.MaxReplayRate)
	case in.AtOnce < 0 || in.AtOnce > contract.MaxAtOnce:
		return out, fault.Newf(fault.RequestInvalid, "at_once must be from 1 to %d", contract.MaxAtOnce)
	case strings.TrimSpace(in.Note) == "":
		return out, fault.New(fault.RequestInvalid, "note must say why")
	case len(in.Note) > contract.MaxNote:
		return out, fault.Newf(fault.RequestInvalid, "note has at most %d bytes", contract.MaxNote)
	case !access.Plain(strings.NewReplacer("\n", "", "\t", "").Replace(in.Note)):
		return out, fault.New(fault.RequestInvalid, "note must not hold control characters")
	}
	if onlyHeld {
		out.Filter.State = contract.Quarantined
	}
	return out, nil
}

func (f *replayFilter) check() (ledger.Filter, error) {
	out := ledger.Filter{
		State: f.State, Reason: f.Reason, Source: f.Source, Tenant: f.Tenant, Sender: f.Sender, Recipient: f.Recipient,
		Destination: f.Destination, Since: f.Since, Until: f.Until, Query: f.Query,
	}
	for name, value := range map[string]string{
		"source": f.Source, "tenant": f.Tenant, "sender": f.Sender, "recipient": f.Recipient, "destination": f.Destination, "q": f.Query,
	} {
		if len(value) > maxParameter || !access.Plain(value) {
			return out, fault.Newf(fault.RequestInvalid, "filter.%s must be at most %d bytes of printable UTF-8", name, maxParameter)
		}
	}
	switch {
	case f.State != "" && !slices.Contains(contract.States, f.State):
		return out, fault.Newf(fault.RequestInvalid, "filter.state must be one of %v", contract.States)
	case f.Reason != "" && !slices.Contains(contract.Reasons, f.Reason):
		return out, fault.Newf(fault.RequestInvalid, "filter.reason must be one of %v", contract.Reasons)
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return out, fault.New(fault.RequestInvalid, "filter.since must be before filter.until")
	}
	return out, nil
}

// replayOf gives the replay that the path names, if the caller has the route's role
// in every tenant that it may touch.
func (h *handler) replayOf(c *gin.Context) (*ledger.ReplayRow, error) {
	const missing = "there is no such replay"
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return nil, fault.New(fault.NotFound, missing)
	}
	row, err := h.replays.Replay(c.Request.Context(), id)
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
		if err := visible(c, t, missing); err != nil {
			return nil, err
		}
		if err := permit(c, t, leastOf(c)); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// replayPage is the answer of the list.
type replayPage struct {
	Replays    []ledger.ReplayRow `json:"replays"`
	NextCursor string             `json:"next_cursor"`
}

func (h *handler) listReplays(c *gin.Context) error {
	q, err := parameters(c, "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := limitOf(q["limit"])
	if err != nil {
		return err
	}
	var tenants []string
	if some, all := caller(c).Tenants(access.Viewer); !all {
		tenants = append([]string{}, some...)
	}
	rows, next, err := h.replays.Replays(c.Request.Context(), tenants, q["cursor"], limit)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, replayPage{Replays: append([]ledger.ReplayRow{}, rows...), NextCursor: next})
	return nil
}

func limitOf(text string) (int, error) {
	if text == "" {
		return ledger.DefaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > ledger.MaxLimit {
		return 0, fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxLimit)
	}
	return limit, nil
}

func (h *handler) showReplay(c *gin.Context) error {
	row, err := h.replayOf(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// itemPage is the answer of the list of a replay's emails.
type itemPage struct {
	Items      []ledger.ReplayItem `json:"items"`
	NextCursor string              `json:"next_cursor"`
}

func (h *handler) listReplayItems(c *gin.Context) error {
	row, err := h.replayOf(c)
	if err != nil {
		return err
	}
	q, err := parameters(c, "state", "code", "cursor", "limit")
	if err != nil {
		return err
	}
	f := ledger.ReplayItemFilter{
		ReplayID: row.ID, State: ledger.ReplayItemState(q["state"]), Code: ledger.ReplayCode(q["code"]), Cursor: q["cursor"],
	}
	if f.Limit, err = limitOf(q["limit"]); err != nil {
		return err
	}
	items, next, err := h.replays.ReplayItems(c.Request.Context(), f)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, itemPage{Items: append([]ledger.ReplayItem{}, items...), NextCursor: next})
	return nil
}

// controlReplay answers what changes a replay that is under way.
func (h *handler) controlReplay(name string) func(*gin.Context) error {
	return func(c *gin.Context) error {
		row, err := h.replayOf(c)
		if err != nil {
			return err
		}
		var rate *contract.ReplayRate
		if name == contract.ReplaySetRate {
			rate = &contract.ReplayRate{}
			if err := readObject(c, rate, maxParameter); err != nil {
				return err
			}
			if math.IsNaN(rate.Rate) || rate.Rate < 0 || rate.Rate > contract.MaxReplayRate {
				return fault.Newf(fault.RequestInvalid, "rate must be from 0 to %d emails per second", contract.MaxReplayRate)
			}
		}
		if _, err := h.runner.ControlReplay(c.Request.Context(), row.ID, name, rate); err != nil {
			return err
		}
		who := caller(c)
		h.logger.Info("replay.controlled", slog.Int64("replay", row.ID), slog.String("control", name), slog.String("actor", who.Name))
		body, err := json.Marshal(map[string]any{"replay": row.ID, "control": name, "rate": rate})
		if err == nil {
			_, err = h.replays.AppendAudit(c.Request.Context(), ledger.AuditRecord{
				Kind: ledger.AuditReplay, Tenant: row.Filter.Tenant, Actor: who.Name, Via: string(contract.ViaAPI), Body: body,
			})
		}
		if err != nil { // it holds all the same
			h.logger.Error("replay.audit", slog.Int64("replay", row.ID), slog.Any("error", err))
		}
		return h.answerReplay(c, row.ID)
	}
}
