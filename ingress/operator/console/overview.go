package console

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// overviewPages shows the numbers.
type overviewPages struct {
	*site
	service Overviews
}

// overviewPage shows the numbers of the caller's tenants.
type overviewPage struct {
	*ledger.Overview
	Chart  chart
	Bars   []bar
	Lags   []lag
	Total  int64         // emails that are held
	Oldest time.Duration // how long the first email of the inbox has waited
}

func (h *overviewPages) show(g *gin.Context) error {
	ctx := g.Request.Context()
	o, err := h.service.Overview(ctx, seeing(access.From(ctx)))
	if err != nil {
		return err
	}

	p := overviewPage{
		Overview: o, Chart: rateChart(o.Rate), Bars: heldBars(o.Held), Lags: lags(latencies(o)), Oldest: seconds(o.Inbox.OldestSeconds),
	}
	for _, h := range o.Held {
		p.Total += h.Count
	}
	return h.render(g, http.StatusOK, "overview", layout{Title: "Overview", Area: "overview", Live: "/events", Body: p})
}

// Of returns how many emails are in a state.
func (p overviewPage) Of(state contract.State) int64 {
	for _, s := range p.States {
		if s.State == state {
			return s.Count
		}
	}
	return 0
}

// latency is one measured time. Objective is zero where none is promised.
type latency struct {
	Name          string
	P50, P95, P99 time.Duration
	Objective     time.Duration
}

// latencies names what an overview has measured.
func latencies(o *ledger.Overview) []latency {
	var out []latency
	if a := o.Ack; a != nil && a.Count > 0 {
		out = append(out, latency{
			Name: "Answer to the sender, " + share(a.Within, a.Count) + " in time",
			P50:  seconds(a.P50), P95: seconds(a.P95), P99: seconds(a.P99), Objective: seconds(a.ObjectiveSeconds),
		})
	}
	if l := o.Latency; l.Count > 0 {
		out = append(out, latency{
			Name: "From receipt to the end, without waits for people or paused destinations, " + share(l.Within, l.Count) + " in time",
			P50:  seconds(l.P50), P95: seconds(l.P95), P99: seconds(l.P99), Objective: seconds(l.ObjectiveSeconds),
		})
	}
	return out
}

// share returns a part of a whole in percent, rounded down: 100 % means all.
func share(part, whole int64) string {
	return fmt.Sprintf("%.2f %%", math.Floor(float64(part)/float64(whole)*1e4)/100)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
