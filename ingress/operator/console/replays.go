package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

type replaysPage struct {
	Replays []Replay
}

// replayPage is one replay with its progress.
type replayPage struct {
	Replay *Replay
	Items  []ReplayItem
	Share  float64 // of 100
	Choice [][2]string
}

// replayForm asks what to do with which emails; with a Plan it asks whether that is
// meant.
type replayForm struct {
	Filter     ledger.Filter
	Choice     [][2]string // the filter for people
	Since      string
	Until      string
	Action     string
	From       string
	Rate       string
	Note       string
	NewEffect  bool
	Plan       *Plan
	Sum        int64 // of the plan, as it has to be typed
	Actions    []named
	Froms      []named
	States     []contract.State
	Reasons    []contract.Reason
	FilterSent url.Values
}

type named struct{ Value, Name, Does string }

var replayActions = []named{
	{"approve", "Approve", "Waives what holds each of them."},
	{"retry", "Retry", "Runs the held step of each again, after a fix."},
	{"discard", "Discard", "Ends each of them. Their records stay."},
	{"replay", "Replay", "Takes them up again, closed ones too. Deliveries whose content is the same are not repeated."},
}

var replayFroms = []named{
	{"held", "The held step", ""},
	{"route", "Routing", "with today's rules"},
	{"store", "The raw mail", "with today's parser and rules"},
}

const (
	defaultRate = 50
	maxRate     = 1000
)

func (c *Console) replays(g *gin.Context) error {
	list, err := c.deps.Replays.List(g.Request.Context(), seeing(access.From(g.Request.Context())))
	if err != nil {
		return err
	}
	return c.render(g, http.StatusOK, "replays", layout{Title: "Replays", Area: "replays", Live: "/events", Body: replaysPage{Replays: list}})
}

func (c *Console) newReplay(g *gin.Context) error {
	query := g.Request.URL.Query()
	f, err := filterOf(query)
	if err != nil {
		return err
	}
	typed := newReplayForm(f)
	if slices.ContainsFunc(replayActions, func(n named) bool { return n.Value == query.Get("action") }) {
		typed.Action = query.Get("action")
	} else if f.State == contract.Quarantined || f.State == "" {
		typed.Action = "retry"
	}
	return c.showReplayForm(g, http.StatusOK, layout{}, typed)
}

func newReplayForm(f ledger.Filter) replayForm {
	out := replayForm{
		Filter: f, Action: "replay", From: "held", Rate: strconv.Itoa(defaultRate), Actions: replayActions, Froms: replayFroms,
		States: contract.States, Reasons: contract.Reasons, FilterSent: queryOf(f), Choice: choiceOf(f),
	}
	if !f.Since.IsZero() {
		out.Since = f.Since.Format("2006-01-02T15:04:05")
	}
	if !f.Until.IsZero() {
		out.Until = f.Until.Format("2006-01-02T15:04:05")
	}
	return out
}

func (c *Console) showReplayForm(g *gin.Context, status int, l layout, f replayForm) error {
	l.Title, l.Area, l.Body = "New replay", "replays", f
	if f.Plan != nil {
		l.Title = "Is this meant?"
	}
	return c.render(g, status, "replay_new", l)
}

// startReplay counts what a replay would touch and, once its number has been typed,
// starts it.
func (c *Console) startReplay(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	post := g.Request.PostForm
	note, chosen := unixLines(post.Get("note")), url.Values{}
	for _, name := range []string{"state", "reason", "source", "tenant", "sender", "recipient", "destination", "q", "since", "until"} {
		if post.Has(name) {
			chosen[name] = post[name]
		}
	}
	f, err := filterOf(chosen)
	typed := newReplayForm(f)
	typed.Action, typed.From, typed.Rate, typed.Note = post.Get("action"), post.Get("from"), strings.TrimSpace(post.Get("rate")), note
	typed.NewEffect = post.Get("new_effect") == "yes"
	typed.Since, typed.Until = post.Get("since"), post.Get("until")
	refused := func(err error) error {
		return c.showReplayForm(g, statusOf(err), layout{Problem: fault.From(err).Public}, typed)
	}
	if err != nil {
		return refused(err)
	}
	in, err := typed.request()
	if err != nil {
		return refused(err)
	}
	ctx := g.Request.Context()
	who := access.From(ctx)
	in.Filter.Tenants, _ = operated(who)
	plan, err := c.deps.Replays.Plan(ctx, who, in)
	if err != nil {
		return refused(err)
	}
	if post.Get("step") != "start" {
		typed.Plan, typed.Sum = &plan, plan.Count
		return c.showReplayForm(g, http.StatusOK, layout{}, typed)
	}
	if strings.TrimSpace(post.Get("count")) != strconv.FormatInt(plan.Count, 10) {
		typed.Plan, typed.Sum = &plan, plan.Count
		return c.showReplayForm(g, http.StatusConflict, layout{Problem: "The number typed is not the number of emails. It may have changed since you looked; nothing was started."}, typed)
	}
	id, err := c.deps.Replays.Start(ctx, who, in)
	if err != nil {
		return refused(err)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=start", id))
	return nil
}

// operated gives the tenants that the caller may decide for; nil and true: all.
func operated(who access.Identity) (Tenants, bool) {
	tenants, all := who.Tenants(access.Operator)
	if all {
		return nil, true
	}
	if tenants == nil {
		tenants = []string{}
	}
	return tenants, false
}

// request checks the form.
func (f replayForm) request() (ReplayRequest, error) {
	in := ReplayRequest{Filter: f.Filter, Action: f.Action, Note: f.Note, NewEffect: f.NewEffect}
	if !slices.ContainsFunc(replayActions, func(n named) bool { return n.Value == f.Action }) {
		return in, fault.New(fault.RequestInvalid, "Choose what to do.")
	}
	if f.Action == "replay" {
		if !slices.ContainsFunc(replayFroms, func(n named) bool { return n.Value == f.From }) {
			return in, fault.New(fault.RequestInvalid, "Choose where to begin.")
		}
		in.From = f.From
	} else {
		in.NewEffect = false
		// A decision is about what is held and nothing else.
		if in.Filter.State != "" && in.Filter.State != contract.Quarantined {
			return in, fault.New(fault.RequestInvalid, "A decision is about held email: choose the state quarantined, or replay.")
		}
		in.Filter.State = contract.Quarantined
	}
	rate, err := strconv.Atoi(f.Rate)
	if err != nil || rate < 1 || rate > maxRate {
		return in, fault.Newf(fault.RequestInvalid, "The rate is a number from 1 to %d.", maxRate)
	}
	in.Rate = rate
	if problem := badNote(f.Note); problem != "" {
		return in, fault.New(fault.RequestInvalid, problem)
	}
	if len(queryOf(f.Filter)) == 0 {
		return in, fault.New(fault.RequestInvalid, "Choose at least one thing: everything is no choice.")
	}
	return in, nil
}

func (c *Console) replay(g *gin.Context) error {
	r, err := c.findReplay(g)
	if err != nil {
		return err
	}
	return c.showReplay(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, r)
}

func (c *Console) showReplay(g *gin.Context, status int, l layout, r *Replay) error {
	items, err := c.deps.Replays.Items(g.Request.Context(), r.ID)
	if err != nil {
		return err
	}
	p := replayPage{Replay: r, Items: items, Choice: choiceOf(r.Filter)}
	if r.Total > 0 {
		p.Share = min(100, 100*float64(r.Done)/float64(r.Total))
	}
	l.Title, l.Area, l.Live, l.Body = fmt.Sprintf("Replay %d", r.ID), "replays", "/events", p
	return c.render(g, status, "replay", l)
}

// findReplay gives the replay of the path. One that may touch a tenant that the
// caller may not decide for is not found.
func (c *Console) findReplay(g *gin.Context) (*Replay, error) {
	missing := fault.New(fault.NotFound, "there is no such replay")
	id, err := numberOf(g.Param("id"))
	if err != nil || id == 0 {
		return nil, missing
	}
	r, err := c.deps.Replays.Find(g.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	mine, all := operated(access.From(g.Request.Context()))
	if !all {
		touched := r.Filter.Tenants
		if r.Filter.Tenant != "" {
			touched = []string{r.Filter.Tenant}
		}
		if len(touched) == 0 || slices.ContainsFunc(touched, func(t string) bool { return !slices.Contains(mine, t) }) {
			return nil, missing
		}
	}
	return r, nil
}

// steerReplay pauses, resumes or stops a replay.
func (c *Console) steerReplay(g *gin.Context) error {
	r, err := c.findReplay(g)
	if err != nil {
		return err
	}
	verb := g.Param("verb")
	if !slices.Contains([]string{"pause", "resume", "stop"}, verb) {
		return fault.New(fault.NotFound, "a replay is paused, resumed or stopped")
	}
	ctx := g.Request.Context()
	if err := c.deps.Replays.Steer(ctx, access.From(ctx), r.ID, verb); err != nil {
		return c.showReplay(g, statusOf(err), layout{Problem: fault.From(err).Public}, r)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=%s", r.ID, verb))
	return nil
}

// Href gives the page of the email.
func (i ReplayItem) Href() string { return pathOf(i.Source, i.EventID, "") }

// Href gives the page of the email.
func (i PlanItem) Href() string { return pathOf(i.Source, i.EventID, "") }

// choiceOf tells a filter in words.
func choiceOf(f ledger.Filter) [][2]string {
	var out [][2]string
	values := queryOf(f)
	for _, name := range []string{"state", "reason", "source", "tenant", "sender", "recipient", "destination", "since", "until", "q"} {
		if v := values.Get(name); v != "" {
			out = append(out, [2]string{map[string]string{"q": "Text"}[name], v})
			if name != "q" {
				out[len(out)-1][0] = words(name)
			}
		}
	}
	return out
}

// numberOf reads a positive number; empty is 0.
func numberOf(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.New(fault.RequestInvalid, "this is no number of ours")
	}
	return n, nil
}
