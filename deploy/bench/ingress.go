package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"mailroom/deploy/dev/stack"
)

// The sizes of the measurements of the ingress.
const (
	startsOf     = 10 // one tenth of it is started while no worker runs
	costOf       = 5  // one fifth of it, good and bad
	hugeMail     = 25 << 20
	hugeAtOnce   = 50
	hugePieces   = 64 << 10
	startWait    = 5 * time.Minute
	startFlights = 32
)

// loops are the closed loops: callers, and how many emails as a share of the burst.
var loops = []struct{ callers, share int }{{1, 20}, {16, 5}, {64, 5}}

// ingressFigures are those of the ingress by itself.
type ingressFigures struct {
	Healthy map[string]acks `json:"temporal_healthy"`
	Stopped map[string]acks `json:"temporal_stopped"`

	BareStarts   float64 `json:"bare_starts_per_second"`
	Starts       float64 `json:"dispatcher_per_second"`
	StartsOfBare float64 `json:"dispatcher_of_bare"`
	GoodCost     float64 `json:"good_cpu_us"`
	BadCost      float64 `json:"bad_signature_cpu_us"`
	BadOfGood    float64 `json:"bad_of_good"`
	HugePeak     float64 `json:"ingress_50x25MB_peak_mib"`
	HugeRefused  int     `json:"ingress_50x25MB_refused"`
}

// ingressPart measures the ingress by itself.
type ingressPart struct {
	*bench
	posted int // by wire, and not yet drained
}

// run measures how webhooks are received and started.
func (p *ingressPart) run(ctx context.Context) (*ingressFigures, error) {
	d := &ingressFigures{Healthy: map[string]acks{}, Stopped: map[string]acks{}}
	if _, err := p.endToEnd(ctx, 100, 0); err != nil { // the first ones are slower and not measured
		return nil, err
	}

	p.say("the ingress while Temporal is healthy")
	if err := p.closedLoops(ctx, d.Healthy); err != nil {
		return nil, err
	}
	if err := p.drained(ctx, p.posted); err != nil {
		return nil, err
	}
	p.posted = 0

	p.say("the ingress while Temporal is stopped")
	p.temporal.stop()
	if err := p.closedLoops(ctx, d.Stopped); err != nil {
		return nil, err
	}
	if err := p.costs(ctx, d); err != nil {
		return nil, err
	}

	if err := p.temporal.start(ctx); err != nil {
		return nil, err
	}
	if err := p.drained(ctx, p.posted); err != nil {
		return nil, err
	}
	p.posted = 0

	if err := p.startRates(ctx, d); err != nil {
		return nil, err
	}
	return d, p.huge(ctx, d)
}

// closedLoops measures the closed loops and the burst.
func (p *ingressPart) closedLoops(ctx context.Context, into map[string]acks) error {
	for _, l := range loops {
		name := fmt.Sprintf("closed_%d", l.callers)
		if err := p.loop(ctx, into, name, l.callers, p.ingressEmails/l.share); err != nil {
			return err
		}
	}
	return p.loop(ctx, into, "burst", inFlight, p.ingressEmails)
}

func (p *ingressPart) loop(ctx context.Context, into map[string]acks, name string, callers, n int) error {
	requests, err := p.sender.requests(p.sender.bodies(n, smallMail, 0), false)
	if err != nil {
		return err
	}
	got, err := p.sender.wire(ctx, callers, requests, http.StatusOK)
	if err != nil {
		return err
	}
	p.posted += n
	into[name] = got
	p.say("  %s: %.0f/s, ack p50 %.2f, p99 %.2f, p99.9 %.2f ms", name, got.Rate, got.P50, got.P99, got.P999)
	return nil
}

// costs compares the processor time of a request with a bad signature with that of a good
// one, in the ingress and the database: measured in turn, medians.
func (p *ingressPart) costs(ctx context.Context, d *ingressFigures) error {
	var good, bad []float64
	n := p.ingressEmails / costOf
	for range p.rounds {
		for _, m := range []struct {
			into   *[]float64
			bad    bool
			status int
		}{{&good, false, http.StatusOK}, {&bad, true, http.StatusUnauthorized}} {
			requests, err := p.sender.requests(p.sender.bodies(n, smallMail, 0), m.bad)
			if err != nil {
				return err
			}
			before, err := p.serving()
			if err != nil {
				return err
			}
			if _, err := p.sender.wire(ctx, inFlight, requests, m.status); err != nil {
				return err
			}
			after, err := p.serving()
			if err != nil {
				return err
			}

			*m.into = append(*m.into, float64((after-before).Microseconds())/float64(n))
			if !m.bad {
				p.posted += n
			}
		}
	}

	d.GoodCost, d.BadCost = median(good), median(bad)
	d.BadOfGood = d.BadCost / d.GoodCost
	p.say("  processor time: good %.0f µs, bad signature %.0f µs, %.2f of it", d.GoodCost, d.BadCost, d.BadOfGood)
	return nil
}

// serving returns the processor time that the ingress and all of PostgreSQL have used.
func (p *ingressPart) serving() (time.Duration, error) {
	ingress := p.mail.PID(stack.Ingress)
	return processorTime(func(pid int, name string) bool { return pid == ingress || name == "postgres" })
}
