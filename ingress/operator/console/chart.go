package console

import (
	"time"

	"mailroom/shared/ledger"
)

// Size of the chart of rates, in its own units.
const (
	chartWidth  = 600
	chartHeight = 120
)

// chart is bars over time. Coordinates are numbers alone, so that a template can
// write them as attributes.
type chart struct {
	Bars      []column
	Max       int64
	Total     int64
	Delivered int64
	From, To  time.Time
}

// column is one minute: received behind, delivered before it.
type column struct {
	X, Width          float64
	Y, Height         float64
	DoneY, DoneHeight float64
}

func rateChart(points []ledger.Minute) chart {
	var c chart
	for _, p := range points {
		c.Max = max(c.Max, p.Accepted, p.Delivered)
		c.Total += p.Accepted
		c.Delivered += p.Delivered
	}

	if len(points) == 0 {
		return c
	}

	c.From, c.To = points[0].At, points[len(points)-1].At
	step := float64(chartWidth) / float64(len(points))
	scale := func(n int64) float64 {
		if c.Max == 0 {
			return 0
		}
		return float64(n) / float64(c.Max) * (chartHeight - 4)
	}

	for i, p := range points {
		high, done := scale(p.Accepted), scale(p.Delivered)
		c.Bars = append(c.Bars, column{
			X: float64(i)*step + step*0.15, Width: step * 0.7,
			Y: chartHeight - high, Height: high, DoneY: chartHeight - done, DoneHeight: done,
		})
	}

	return c
}

// bar is one reason: Width is its share of the largest, of 100.
type bar struct {
	ledger.ReasonCount
	Width float64
}

func heldBars(held []ledger.ReasonCount) []bar {
	var most int64
	for _, h := range held {
		most = max(most, h.Count)
	}
	var out []bar
	for _, h := range held {
		if h.Count > 0 {
			out = append(out, bar{h, max(1, 100*float64(h.Count)/float64(most))})
		}
	}
	return out
}

// lag is one latency on a scale that ends at twice its objective, of 100.
type lag struct {
	latency
	P50At, P95At, P99At, ObjectiveAt float64
	Late                             bool
}

func lags(list []latency) []lag {
	var out []lag
	for _, l := range list {
		end := max(2*l.Objective, l.P99, time.Millisecond)
		at := func(d time.Duration) float64 { return 100 * min(1, float64(d)/float64(end)) }
		out = append(out, lag{latency: l, P50At: at(l.P50), P95At: at(l.P95), P99At: at(l.P99), ObjectiveAt: at(l.Objective),
			Late: l.Objective > 0 && l.P99 > l.Objective})
	}
	return out
}
