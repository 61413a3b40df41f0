package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// destinationsPage is where mail goes.
type destinationsPage struct {
	Destinations []Destination
	Name         string // of the destination whose form was refused
	Note         string
}

func (c *Console) destinations(g *gin.Context) error {
	return c.showDestinations(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, "", "")
}

func (c *Console) showDestinations(g *gin.Context, status int, l layout, name, note string) error {
	ctx := g.Request.Context()
	list, err := c.deps.Destinations.List(ctx)
	if err != nil {
		return err
	}
	l.Title, l.Area, l.Live = "Destinations", "destinations", "/events"
	l.Body = destinationsPage{Destinations: list, Name: name, Note: note}
	return c.render(g, status, "destinations", l)
}

// control pauses or resumes a destination.
func (c *Console) control(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	name, err := url.PathUnescape(g.Param("name"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such destination")
	}
	do := c.deps.Destinations.Pause
	verb := g.Param("verb")
	switch verb {
	case "pause":
	case "resume":
		do = c.deps.Destinations.Resume
	default:
		return fault.New(fault.NotFound, "a destination is paused or resumed")
	}
	note := unixLines(g.Request.PostForm.Get("note"))
	if problem := badNote(note); problem != "" {
		return c.showDestinations(g, http.StatusBadRequest, layout{Problem: problem}, name, note)
	}
	ctx := g.Request.Context()
	if err := do(ctx, access.From(ctx), name, note); err != nil {
		return c.showDestinations(g, access.Status(err), layout{Problem: fault.From(err).Public}, name, note)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, "/destinations?done="+verb)
	return nil
}

// rulesPage is the routes and the tester.
type rulesPage struct {
	Rules   []Rule
	Sample  sampleForm
	Outcome *Outcome
}

// sampleForm is a sample as it was typed.
type sampleForm struct {
	Recipients, Sender, Subject, Source, Tenant, Headers, Reported string
}

func (c *Console) rules(g *gin.Context) error {
	return c.showRules(g, http.StatusOK, layout{}, sampleForm{}, nil)
}

func (c *Console) showRules(g *gin.Context, status int, l layout, typed sampleForm, outcome *Outcome) error {
	list, err := c.deps.Rules.List(g.Request.Context())
	if err != nil {
		return err
	}
	l.Title, l.Area, l.Body = "Routes", "routes", rulesPage{Rules: list, Sample: typed, Outcome: outcome}
	return c.render(g, status, "routes", l)
}

// testRules says where a mail would go. It is a POST, so that no address is in a
// URL or a log; it changes nothing.
func (c *Console) testRules(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	post := g.Request.PostForm
	typed := sampleForm{
		Recipients: unixLines(post.Get("recipients")), Sender: strings.TrimSpace(post.Get("sender")), Subject: strings.TrimSpace(post.Get("subject")),
		Source: strings.TrimSpace(post.Get("source")), Tenant: strings.TrimSpace(post.Get("tenant")), Headers: unixLines(post.Get("headers")),
		Reported: unixLines(post.Get("reported")),
	}
	in := Sample{Recipients: rows(typed.Recipients), Sender: typed.Sender, Subject: typed.Subject, Source: typed.Source, Tenant: typed.Tenant}
	for _, line := range rows(typed.Headers) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return c.showRules(g, http.StatusBadRequest, layout{Problem: "Headers: each line is a name, a colon and a value."}, typed, nil)
		}
		if in.Headers == nil {
			in.Headers = map[string]string{}
		}
		in.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	for _, line := range rows(typed.Reported) {
		name, value, _ := strings.Cut(line, ":")
		to := in.Reported.Text(strings.TrimSpace(name))
		if to == nil {
			return c.showRules(g, http.StatusBadRequest, layout{Problem: "Reported: each line is spf, dkim, dmarc, type or mailbox, a colon and a value."}, typed, nil)
		}
		*to = strings.TrimSpace(value)
	}
	if len(in.Recipients) == 0 {
		return c.showRules(g, http.StatusBadRequest, layout{Problem: "Name at least one recipient."}, typed, nil)
	}
	outcome, err := c.deps.Rules.Test(g.Request.Context(), in)
	if err != nil {
		return c.showRules(g, access.Status(err), layout{Problem: fault.From(err).Public}, typed, nil)
	}
	return c.showRules(g, http.StatusOK, layout{}, typed, &outcome)
}

// auditPage is the chain of what people did.
type auditPage struct {
	Entries []ChainEntry
	Older   int64 // the number to go on below; 0: there are no more
	Before  int64
	Checked int64
	Broken  int64
	Tested  bool
}

const auditLimit = 50

func (c *Console) audit(g *gin.Context) error {
	ctx := g.Request.Context()
	var p auditPage
	var err error
	if p.Before, err = numberOf(g.Query("before")); err != nil {
		return err
	}
	if p.Entries, err = c.deps.Chain.Entries(ctx, p.Before); err != nil {
		return err
	}
	if len(p.Entries) >= auditLimit {
		p.Older = p.Entries[len(p.Entries)-1].Number
	}
	if g.Query("verify") == "yes" {
		if p.Checked, p.Broken, err = c.deps.Chain.Verify(ctx); err != nil {
			return err
		}
		p.Tested = true
	}
	return c.render(g, http.StatusOK, "audit", layout{Title: "Audit", Area: "audit", Body: p})
}

// Href gives the page of the email that an entry is about.
func (e ChainEntry) Href() string { return pathOf(e.Email, e.Source, e.EventID, "") }

// overviewPage is how things are.
type overviewPage struct {
	Overview
	Known bool
	Rate  chart
	Held  []bar
	Lags  []lag
	Total int64
}

func (c *Console) overview(g *gin.Context) error {
	var p overviewPage
	tenants := seeing(access.From(g.Request.Context()))
	ctx := g.Request.Context()
	var err error
	switch {
	case c.deps.Figures != nil:
		if p.Overview, err = c.deps.Figures.Overview(ctx, tenants); err != nil {
			return err
		}
		p.Known = true
	case c.deps.Holdings != nil:
		if p.Overview.Held, err = c.deps.Holdings.Held(ctx, tenants); err != nil {
			return err
		}
	}
	for _, h := range p.Overview.Held {
		p.Total += h.Count
	}
	p.Rate, p.Held, p.Lags = rateChart(p.Overview.Rate), heldBars(p.Overview.Held), lags(p.Latencies)
	return c.render(g, http.StatusOK, "overview", layout{Title: "Overview", Area: "overview", Live: "/events", Body: p})
}

// Of gives how many emails are in a state.
func (o Overview) Of(state contract.State) int64 {
	for _, s := range o.States {
		if s.State == state {
			return s.Count
		}
	}
	return 0
}
