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
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// shownBatches and shownItems bound what a page lists.
const (
	shownBatches = 50
	shownItems   = 200
)

type batchesPage struct {
	Replays []ledger.ReplayRow
	DryRuns bool // those are listed, instead of what was started
}

// batchPages starts and controls replays and decisions about many emails.
type batchPages struct {
	*site
	service Batches
	choices Choices
}

// batchPage is one batch with its progress.
type batchPage struct {
	Replay *ledger.ReplayRow
	Items  []ledger.ReplayItem
	More   bool    // than these
	Share  float64 // of 100
	Choice [][2]string
	Does   string // what is done to each
	Change string // where the choice is changed
	Count  string // as it was typed
	// Would is what a dry run found, most first; Begins and HeldAgain say where emails that
	// would run again begin and for which reasons they would be held.
	Would, Begins, HeldAgain []tally
	// LeftOut is how many of the selected emails it is not about: they have changed since.
	LeftOut int64
	// Waiting is how many of a dry run wait for their next attempt.
	Waiting int64
	// Became counts what is done by what it is now, HeldFor what of it is held by reason.
	Became, HeldFor []tally
}

// batchForm asks what to do with which emails.
type batchForm struct {
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
	Known     operations.Choices
}

type named struct{ Value, Name, Does string }

var batchActions = []named{
	{"approve", "Approve", "Waives the hold of each of them."},
	{"retry", "Retry", "Runs the held step of each again, after a fix; what waits (state retrying) is tried now."},
	{"hold", "Hold", "Keeps what waits for its next attempt until it is approved."},
	{"discard", "Discard", "Ends each of them, held or waiting. Their records stay."},
	{"replay", "Replay", "Runs them again, closed ones too. Deliveries with the same content are not repeated."},
}

var batchFroms = []named{
	{ledger.FromHeld, "The held step", ""},
	{ledger.FromRoute, "The route step", "with today's rules"},
	{ledger.FromRaw, "The raw mail", "with today's parser and rules"},
}

const maxRate = 1000 // emails per second that the form accepts

func (h *batchPages) list(g *gin.Context) error {
	ctx := g.Request.Context()
	p := batchesPage{DryRuns: g.Query("dry_runs") == "true"}
	var err error
	p.Replays, _, err = h.service.List(ctx, access.From(ctx), access.Operator, ledger.ReplayFilter{DryRuns: p.DryRuns, Limit: shownBatches})
	if err != nil {
		return err
	}
	return h.render(g, http.StatusOK, "replays", layout{Title: "Replays", Area: "replays", Live: "/events", Body: p})
}

func (h *batchPages) form(g *gin.Context) error {
	query := g.Request.URL.Query()
	f, err := filterOf(query)
	if err != nil {
		return err
	}
	if query.Get("selected") != "" && len(f.Emails) == 0 {
		return fault.New(fault.RequestInvalid, "No email is selected: go back, and tick those that you want to decide about.")
	}
	typed := newBatchForm(f)
	if slices.ContainsFunc(batchActions, func(n named) bool { return n.Value == query.Get("action") }) {
		typed.Action = query.Get("action")
	} else if f.State == contract.Quarantined || f.State == contract.Retrying || f.State == "" {
		typed.Action = "retry"
	}
	return h.showForm(g, http.StatusOK, layout{}, typed)
}

func newBatchForm(f ledger.Filter) batchForm {
	out := batchForm{
		Filter: f, Action: "replay", From: ledger.FromHeld, Rate: strconv.Itoa(batch.DefaultRate), Actions: batchActions, Froms: batchFroms,
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

func (h *batchPages) showForm(g *gin.Context, status int, l layout, f batchForm) error {
	tenants, _ := access.From(g.Request.Context()).Tenants(access.Operator)
	f.Known = h.choices.Choices(tenants)
	l.Title, l.Area, l.Body = "New replay", "replays", f
	return h.render(g, status, "replay_new", l)
}

// plan starts a dry run; its page shows the count and the button that starts the batch.
func (h *batchPages) plan(g *gin.Context) error {
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
	if picks := post[selection]; len(picks) > 0 {
		chosen[selection] = picks
	}

	f, err := filterOf(chosen)
	typed := newBatchForm(f)
	typed.Action, typed.From, typed.Rate, typed.Note = post.Get("action"), post.Get("from"), strings.TrimSpace(post.Get("rate")), note
	typed.NewEffect = post.Get("new_effect") == "yes"
	typed.Since, typed.Until = post.Get("since"), post.Get("until")
	refused := func(err error) error {
		return h.showForm(g, access.Status(err), layout{Problem: fault.From(err).Public}, typed)
	}
	if err != nil {
		return refused(err)
	}

	in, err := typed.request()
	if err != nil {
		return refused(err)
	}

	ctx := g.Request.Context()
	row, err := h.service.Create(ctx, access.From(ctx), contract.ViaConsole, in)
	if err != nil {
		return refused(err)
	}

	h.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d", row.ID))
	return nil
}

// start starts what a dry run has counted, once that number has been typed.
func (h *batchPages) start(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}

	r, err := h.find(g)
	if err != nil {
		return err
	}

	typed := strings.TrimSpace(g.Request.PostForm.Get("count"))
	refused := func(status int, problem string) error {
		return h.show(g, status, layout{Problem: problem}, r, typed)
	}

	count, err := strconv.ParseInt(typed, 10, 64)
	if err != nil || r.Preview == nil || count != r.Preview.Total {
		return refused(http.StatusConflict, "The number typed is not the number of emails. Nothing was started.")
	}

	ctx := g.Request.Context()
	started, err := h.service.Start(ctx, access.From(ctx), contract.ViaConsole, r.ID, count)
	if err != nil {
		return refused(access.Status(err), fault.From(err).Public)
	}

	h.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=start", started.ID))
	return nil
}

// request reads the form as a dry run, and refuses fields that are missing. Which fields
// go together is checked by batch.Service.
func (f batchForm) request() (batch.Request, error) {
	in := batch.Request{Filter: batch.FilterOf(f.Filter), Action: contract.Action(f.Action), Note: f.Note, DryRun: true}
	if !slices.ContainsFunc(batchActions, func(n named) bool { return n.Value == f.Action }) {
		return in, fault.New(fault.RequestInvalid, "Choose what to do.")
	}
	if in.Action == ledger.ActionReplay {
		if !slices.ContainsFunc(batchFroms, func(n named) bool { return n.Value == f.From }) {
			return in, fault.New(fault.RequestInvalid, "Choose where to begin.")
		}
		in.From, in.NewEffect = f.From, f.NewEffect
	}

	perSecond, err := strconv.Atoi(f.Rate)
	if err != nil || perSecond < 1 || perSecond > maxRate {
		return in, fault.Newf(fault.RequestInvalid, "The rate is a number from 1 to %d.", maxRate)
	}
	rate := float64(perSecond)
	in.Rate = &rate

	if problem := badNote(f.Note); problem != "" {
		return in, fault.New(fault.RequestInvalid, problem)
	}
	if len(queryOf(f.Filter)) == 0 {
		return in, fault.New(fault.RequestInvalid, "Fill in at least one field of the filter: everything is no choice.")
	}
	return in, nil
}

func (h *batchPages) page(g *gin.Context) error {
	r, err := h.find(g)
	if err != nil {
		return err
	}
	return h.show(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, r, "")
}

func (h *batchPages) show(g *gin.Context, status int, l layout, r *ledger.ReplayRow, typed string) error {
	p := batchPage{Replay: r, Choice: choiceOf(r.Filter), Count: typed}
	if !r.DryRun {
		var err error
		if err = h.service.Outcomes(g.Request.Context(), r); err != nil {
			return err
		}
		p.Items, _, err = h.service.Items(g.Request.Context(), ledger.ReplayItemFilter{ReplayID: r.ID, Limit: shownItems})
		if err != nil {
			return err
		}
	}
	if r.Outcomes != nil {
		p.Became, p.HeldFor = byState(r.Outcomes.ByState), byReason(r.Outcomes.HeldFor)
	}
	if r.Preview != nil {
		p.LeftOut = int64(len(r.Filter.Emails)) - r.Preview.Total
		p.Waiting = r.Preview.ByState[string(contract.Retrying)]
		p.Would, p.Begins, p.HeldAgain = byCount(r.Preview.Would), byName(r.Preview.Begins), byName(r.Preview.HeldAgain)
	}

	handled := r.Done + r.Skipped + r.Failed
	if r.Total > 0 {
		p.Share = min(100, 100*float64(handled)/float64(r.Total))
	}
	p.More = handled > int64(len(p.Items))
	for _, a := range batchActions {
		if a.Value == string(r.Action) {
			p.Does = a.Does
		}
	}
	again := queryOf(r.Filter)
	again.Set("action", string(r.Action))
	p.Change = "/replays/new?" + again.Encode()

	l.Title, l.Area, l.Live, l.Body = fmt.Sprintf("Replay %d", r.ID), "replays", "/events", p
	switch {
	case !r.DryRun:
	case r.Preview == nil:
		l.Title = "Counting"
	case r.StartedAs != nil:
		l.Title = "Counted, and started"
	default:
		l.Title = "Are you sure?"
	}
	return h.render(g, status, "replay", l)
}

// find returns the batch that the path names.
func (h *batchPages) find(g *gin.Context) (*ledger.ReplayRow, error) {
	id, err := numberOf(g.Param("id"))
	if err != nil || id == 0 {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	ctx := g.Request.Context()
	return h.service.Find(ctx, access.From(ctx), access.Operator, id)
}

// control pauses, resumes or stops a batch, or starts what a dry run counted.
func (h *batchPages) control(g *gin.Context) error {
	r, err := h.find(g)
	if err != nil {
		return err
	}
	verb := g.Param("verb")
	if verb == "start" {
		return h.start(g)
	}
	if !slices.Contains([]string{contract.ReplayPause, contract.ReplayResume, contract.ReplayStop}, verb) {
		return fault.New(fault.NotFound, "a replay is paused, resumed or stopped")
	}

	ctx := g.Request.Context()
	if _, err := h.service.Control(ctx, access.From(ctx), contract.ViaConsole, r, verb, nil); err != nil {
		return h.show(g, access.Status(err), layout{Problem: fault.From(err).Public}, r, "")
	}
	h.live.nudge()
	g.Redirect(http.StatusSeeOther, fmt.Sprintf("/replays/%d?done=%s", r.ID, verb))
	return nil
}

// choiceOf writes a filter in words.
func choiceOf(f ledger.Filter) [][2]string {
	var out [][2]string
	values := queryOf(f)
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			values.Set(name, stamp(at)) // people read no fractions
		}
	}

	if n := len(f.Emails); n > 0 {
		out = append(out, [2]string{"Selected", plural(n, "email", "emails")})
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
		return 0, fault.New(fault.RequestInvalid, "this is not a valid number")
	}
	return n, nil
}
