package console

import (
	"fmt"
	"net/http"
	"net/url"
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

type replaysPage struct {
	Replays []Replay
}

// replayPage is one replay with its progress.
type replayPage struct {
	Replay *Replay
	Items  []ReplayItem
	More   bool    // than these
	Share  float64 // of 100
	Choice [][2]string
	Does   string // what is done to each
	Change string // where the choice is changed
	Count  string // as it was typed
}

// replayForm asks what to do with which emails.
type replayForm struct {
	Filter    ledger.Filter
	Since     string
	Until     string
	Action    string
	From      string
	Rate      string
	Note      string
	NewEffect bool
	Actions   []named
	Froms     []named
	States    []contract.State
	Reasons   []contract.Reason
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
	list, err := c.deps.Replays.List(g.Request.Context(), access.From(g.Request.Context()))
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
		States: contract.States, Reasons: contract.Reasons,
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
	return c.render(g, status, "replay_new", l)
}

// planReplay begins a dry run, whose page shows what it counts and starts it.
func (c *Console) planReplay(g *gin.Context) error {
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
		return c.showReplayForm(g, access.Status(err), layout{Problem: fault.From(err).Public}, typed)
	}
	if err != nil {
		return refused(err)
	}
	in, err := typed.request()
	if err != nil {
		return refused(err)
	}
	ctx := g.Request.Context()
	id, err := c.deps.Replays.Plan(ctx, access.From(ctx), in)
	if err != nil {
		return refused(err)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d", id))
	return nil
}

// startReplay does for real what a dry run has counted, once that number is typed.
func (c *Console) startReplay(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	r, err := c.findReplay(g)
	if err != nil {
		return err
	}
	typed := strings.TrimSpace(g.Request.PostForm.Get("count"))
	refused := func(status int, problem string) error {
		return c.showReplay(g, status, layout{Problem: problem}, r, typed)
	}
	count, err := strconv.ParseInt(typed, 10, 64)
	if err != nil || r.Plan == nil || count != r.Plan.Count {
		return refused(http.StatusConflict, "The number typed is not the number of emails. Nothing was started.")
	}
	ctx := g.Request.Context()
	id, err := c.deps.Replays.Start(ctx, access.From(ctx), r.ID, count)
	if err != nil {
		return refused(access.Status(err), fault.From(err).Public)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=start", id))
	return nil
}

// request reads the form, and refuses what is not filled in. What goes with what is
// for Plan to say.
func (f replayForm) request() (ReplayRequest, error) {
	in := ReplayRequest{Filter: f.Filter, Action: f.Action, Note: f.Note}
	if !slices.ContainsFunc(replayActions, func(n named) bool { return n.Value == f.Action }) {
		return in, fault.New(fault.RequestInvalid, "Choose what to do.")
	}
	if f.Action == "replay" {
		if !slices.ContainsFunc(replayFroms, func(n named) bool { return n.Value == f.From }) {
			return in, fault.New(fault.RequestInvalid, "Choose where to begin.")
		}
		in.From, in.NewEffect = f.From, f.NewEffect
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
	return c.showReplay(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, r, "")
}

func (c *Console) showReplay(g *gin.Context, status int, l layout, r *Replay, typed string) error {
	p := replayPage{Replay: r, Choice: choiceOf(r.Filter), Count: typed}
	var err error
	if !r.DryRun {
		if p.Items, err = c.deps.Replays.Items(g.Request.Context(), r.ID); err != nil {
			return err
		}
	}
	if r.Total > 0 {
		p.Share = min(100, 100*float64(r.Done+r.Skipped+r.Failed)/float64(r.Total))
	}
	p.More = r.Done+r.Skipped+r.Failed > int64(len(p.Items))
	for _, a := range replayActions {
		if a.Value == r.Action {
			p.Does = a.Does
		}
	}
	again := queryOf(r.Filter)
	again.Set("action", r.Action)
	p.Change = "/replays/new?" + again.Encode()
	l.Title, l.Area, l.Live, l.Body = fmt.Sprintf("Replay %d", r.ID), "replays", "/events", p
	if r.DryRun {
		l.Title = "Is this meant?"
		if r.Plan == nil {
			l.Title = "Counting"
		} else if r.StartedAs != 0 {
			l.Title = "Counted, and started"
		}
	}
	return c.render(g, status, "replay", l)
}

// findReplay gives the replay of the path.
func (c *Console) findReplay(g *gin.Context) (*Replay, error) {
	id, err := numberOf(g.Param("id"))
	if err != nil || id == 0 {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	return c.deps.Replays.Find(g.Request.Context(), access.From(g.Request.Context()), id)
}

// steerReplay pauses, resumes or stops a replay, or starts what a dry run counted.
func (c *Console) steerReplay(g *gin.Context) error {
	r, err := c.findReplay(g)
	if err != nil {
		return err
	}
	verb := g.Param("verb")
	if verb == "start" {
		return c.startReplay(g)
	}
	if !slices.Contains([]string{"pause", "resume", "stop"}, verb) {
		return fault.New(fault.NotFound, "a replay is paused, resumed or stopped")
	}
	ctx := g.Request.Context()
	if err := c.deps.Replays.Steer(ctx, access.From(ctx), r.ID, verb); err != nil {
		return c.showReplay(g, access.Status(err), layout{Problem: fault.From(err).Public}, r, "")
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=%s", r.ID, verb))
	return nil
}

// Href gives the page of the email.
func (i ReplayItem) Href() string { return pathOf(i.Number, i.Source, i.EventID, "") }

// Href gives the page of the email.
func (i PlanItem) Href() string { return pathOf(i.Number, i.Source, i.EventID, "") }

// choiceOf tells a filter in words.
func choiceOf(f ledger.Filter) [][2]string {
	var out [][2]string
	values := queryOf(f)
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			values.Set(name, stamp(at)) // people read no fractions
		}
	}
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
