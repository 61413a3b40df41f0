package downstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/netguard"
)

// Defaults of a destination, and bounds that all destinations share.
const (
	defaultTimeout  = 10 * time.Second
	defaultFailures = 5
	defaultOpenFor  = 30 * time.Second

	// maxWait is how long a call waits for a free place before it is postponed.
	maxWait = 250 * time.Millisecond

	maxAnswerHeader = 32 << 10
	maxAnswerBody   = 64 << 10
	// drainFor is how long the body of an answer is read, so that its connection can
	// be reused; the status is already known.
	drainFor = 250 * time.Millisecond
	busyWait = time.Second

	triedAgain = "; it will be tried again"
)

// destination is one downstream system with its breaker and limits.
type destination struct {
	url        string
	tenants    []string
	timeout    time.Duration
	maxWait    time.Duration
	openFor    time.Duration
	idempotent bool
	signer     *liveSigner
	transport  *http.Transport
	breaker    *gobreaker.CircuitBreaker[outcome]
	probe      atomic.Int64 // when an open breaker lets the next call pass, in Unix nanoseconds; 0: it is not open
	places     chan struct{}
	gone       goneStop
	control    control
	waits      waits
	tempo      tempo
	seen       lastCalls
}

// call is the content of one use of send.
type call struct {
	key           string
	correlationID string
	mark          string
	probe         bool // a person asked for it
	body          Body
}

// outcome is how one use of send ended.
type outcome struct {
	status  int
	result  string
	err     error
	breaker error // nil, errFailed or errExcluded
}

func newDestination(to config.Destination, deps Deps) (*destination, error) {
	u, err := url.Parse(to.URL)
	switch {
	case err != nil:
		return nil, errors.New("the url cannot be read")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("the url must begin with http:// or https:// and name a host")
	case u.User != nil:
		return nil, errors.New("the url must not hold credentials")
	}

	sign, err := newLiveSigner(to.Secret.Key, to.Name, deps.Logger)
	if err != nil {
		return nil, err
	}

	d := &destination{
		url:        u.String(),
		tenants:    to.Tenants,
		timeout:    orDefault(to.Timeout, defaultTimeout),
		maxWait:    maxWait,
		openFor:    orDefault(to.Breaker.OpenFor, defaultOpenFor),
		gone:       goneStop{lasts: ledger.LongestStop},
		idempotent: to.HonoursKey(),
		signer:     sign,
	}

	inFlight := orDefault(to.MaxInFlight, config.DefaultMaxInFlight)
	d.places = make(chan struct{}, inFlight)
	d.transport = newTransport(to.AllowPrivate, inFlight, d)
	d.breaker = newBreaker(to.Name, orDefault(to.Breaker.Failures, defaultFailures), d.openFor, &d.probe, deps)
	return d, nil
}

// newTransport returns a transport with connections of its own. It uses no proxy, since
// netguard would see only the address of the proxy.
func newTransport(allowPrivate bool, inFlight int, d *destination) *http.Transport {
	return &http.Transport{
		DialContext:            netguard.Dialer(allowPrivate).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxConnsPerHost:        inFlight,
		MaxIdleConnsPerHost:    inFlight,
		IdleConnTimeout:        60 * time.Second,
		// A request on a reused connection can coincide with the other side closing
		// it. If a repeat has a second effect, this ambiguity is to be avoided.
		DisableKeepAlives: !d.idempotent,
	}
}

// newBreaker returns the breaker of a destination, which keeps probe up to date.
func newBreaker(name string, failures int, openFor time.Duration, probe *atomic.Int64, deps Deps) *gobreaker.CircuitBreaker[outcome] {
	deps.Metrics.Breaker(name, gobreaker.StateClosed.String())
	return gobreaker.NewCircuitBreaker[outcome](gobreaker.Settings{
		Name:        name,
		MaxRequests: 1, // one probe when half open
		Timeout:     openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= uint32(failures) //nolint:gosec // G115: checked by the configuration
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errExcluded) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			probe.Store(0)
			if to == gobreaker.StateOpen {
				probe.Store(time.Now().Add(openFor).UnixNano())
			}
			deps.Metrics.Breaker(name, to.String())
			deps.Logger.Warn("breaker.changed", "destination", name, "from", from.String(), "to", to.String())
		},
	})
}

// made reports whether a call was made.
func (o outcome) made() bool {
	switch o.result {
	case resultDelivered, resultRetry, resultRejected, resultAmbiguous, resultGone, resultCut:
		return true
	}
	return false
}

// send makes the call unless a pause, a stop, the breaker or a limit prevents it.
func (d *destination) send(ctx context.Context, c call) outcome {
	if by, wait, paused := d.control.pause(time.Now()); paused {
		return pausedBy(by, wait)
	}
	until, gone := d.gone.until()
	if !gone {
		return d.sendNow(ctx, c)
	}
	if !c.probe || !d.gone.tryProbe() {
		return d.goneFor(0, until)
	}

	o := d.sendNow(ctx, c)
	if !o.made() {
		d.gone.probe.Store(0) // another attempt may be the probe
	}
	return o
}

// sendNow makes the call unless the breaker or a limit prevents it.
func (d *destination) sendNow(ctx context.Context, c call) outcome {
	if !d.idempotent && !d.timeFor(ctx) {
		return busy("no call was made: there is too little time for an attempt that must not be cut short", 0)
	}
	if d.breaker.State() == gobreaker.StateOpen {
		return d.withheld()
	}
	if !d.enter(ctx) {
		return busy("no call was made: too many calls to the destination are under way", d.busyWait())
	}
	defer func() { <-d.places }()

	o, err := d.breaker.Execute(func() (outcome, error) {
		body, err := c.body(ctx)
		if err != nil {
			return outcome{result: resultNoBody, err: err}, errExcluded
		}
		o := d.attempt(ctx, c, body)
		return o, o.breaker
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return d.withheld()
	}
	return o
}

// timeFor reports whether a whole attempt fits before the end of ctx.
func (d *destination) timeFor(ctx context.Context) bool {
	end, bounded := ctx.Deadline()
	return !bounded || time.Until(end) >= d.timeout
}

// enter takes a place. It waits for one for maxWait at most.
func (d *destination) enter(ctx context.Context) bool {
	select {
	case d.places <- struct{}{}:
		return true
	default:
	}
	if d.tempo.late() { // a wait is unlikely to help, and occupies the caller's place
		return false
	}
	wait := time.NewTimer(d.maxWait)
	defer wait.Stop()
	select {
	case d.places <- struct{}{}:
		return true
	case <-wait.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// withheld returns the outcome of a call while the breaker is open. The wait ends when
// the breaker allows a probe, with jitter, so that not all calls come at once.
func (d *destination) withheld() outcome {
	return outcome{
		result: resultOpen,
		err: fault.New(fault.BreakerOpen, "no call was made, because the last ones failed"+d.seen.lastFailure()).
			After(d.openFor + jitter(d.openFor/2)),
	}
}

func busy(why string, wait time.Duration) outcome {
	return outcome{result: resultBusy, err: fault.New(fault.Overloaded, why).After(wait)}
}

// goneStop is the time after a 410 in which nothing is sent. It is safe for concurrent use.
type goneStop struct {
	end   atomic.Int64 // Unix nanoseconds; 0: there is none
	probe atomic.Int64 // when the last probe was let pass, likewise
	lasts time.Duration
}

// probeEvery is how often, at most, a person's attempt passes a stop.
const probeEvery = 5 * time.Second

// tryProbe reports whether a call may pass the stop to see whether it has to last.
func (g *goneStop) tryProbe() bool {
	last, now := g.probe.Load(), time.Now()
	return now.Sub(time.Unix(0, last)) >= probeEvery && g.probe.CompareAndSwap(last, now.UnixNano())
}

// begin begins the stop and returns its end.
func (g *goneStop) begin() time.Time {
	until := time.Now().Add(g.lasts)
	g.end.Store(until.UnixNano())
	return until
}

// until returns when the stop ends, and whether that is in the future.
func (g *goneStop) until() (until time.Time, lasts bool) {
	until = time.Unix(0, g.end.Load())
	return until, time.Until(until) > 0
}

// goneFor returns the outcome of a call to a destination that answered 410. The wait is
// shorter than the stop, because an operator may end the stop.
func (d *destination) goneFor(status int, until time.Time) outcome {
	wait := min(time.Until(until), d.control.checkAfter(time.Now()))
	what := "the destination says that it is gone (410)"
	if status == 0 {
		what = "no call was made: the destination has said that it is gone (410)"
	}
	return outcome{
		status: status,
		result: resultGone,
		err: fault.Newf(fault.DownstreamGone, "%s; nothing is sent there until %s or a resume", what, until.UTC().Format("15:04 UTC")).
			After(wait),
	}
}

// jitter returns a random duration up to d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d) //nolint:gosec // G404: spreads calls, keeps no secret
}

// orDefault returns v, or fallback if v is not set.
func orDefault[T int | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

func sentence(status int, text string) string {
	return fmt.Sprintf("the destination answered %d%s", status, text)
}
