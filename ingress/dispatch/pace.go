package dispatch

import (
	"context"
	"sync"
	"time"
)

// Bounds of the starts in flight. Starts are slow from slowFloor on, and only when they
// take slowFactor times what one takes at best; one alone that is slow says nothing.
const (
	leastStarts, mostStarts, firstStarts = 1, 32, 4 // mostStarts unless the configuration says otherwise

	slowFloor  = 400 * time.Millisecond
	slowFactor = 4
	firstGuess = 100 * time.Millisecond // how long a start takes until one has ended
)

// Bounds of how far starts may run ahead of the workers.
const (
	// mostAhead is how many emails may be started that no worker has stored yet,
	// unless the configuration says otherwise. More would wait in Temporal's task
	// queues, where each costs a write and a read more than in the inbox, and where
	// new mail could not pass.
	mostAhead    = 64
	countTimeout = 500 * time.Millisecond
	// While the workers store nothing counts become rarer, down to one in countSlowest.
	countEvery   = 10 * time.Millisecond
	countSlowest = 400 * time.Millisecond
)

const (
	// yieldPace is between two starts while accepting needs the machine.
	yieldPace = 50 * time.Millisecond
	// A row that waits for hiccup shows how long those behind it will wait.
	hiccup = 250 * time.Millisecond
	// rateSeconds is over how many seconds the rate of starts is taken.
	rateSeconds = 10
)

// pacer decides when the next workflow may be started, and tells how many rows can be
// started soon. Temporal bounds it by its latency, the workers of all ingresses together
// by what they have not stored yet, and accepting by asking for the machine.
type pacer struct {
	now         func() time.Time
	maxInFlight int
	ended       chan struct{} // holds a token after a start has ended

	mu       sync.Mutex
	limit    float64 // of the starts in flight
	inFlight int
	fastest  time.Duration // what a start takes at best; it follows slowly upwards
	took     time.Duration // by a start lately, smoothed
	lastCut  time.Time     // of limit

	yieldUntil   time.Time
	lastStart    time.Time
	waitingSince time.Time     // when the next row began to wait; zero: none does
	gap          time.Duration // between two starts while rows waited, smoothed
	perSecond    [rateSeconds + 1]struct {
		second int64
		starts int
	}

	ahead workersAhead // used by await and begin, and so by one goroutine
}

// workersAhead counts the emails that are started and that no worker has stored yet.
type workersAhead struct {
	inbox   Inbox
	recent  *recentStarts
	most    int // less than 0: any number
	counted int // at the last count
	since   int // started by this process since
	at      time.Time
	every   time.Duration
}

func newPacer(maxInFlight, maxAhead int, inbox Inbox, recent *recentStarts, now func() time.Time) *pacer {
	return &pacer{
		now: now, maxInFlight: maxInFlight, ended: make(chan struct{}, 1),
		limit: min(firstStarts, float64(maxInFlight)), took: firstGuess,
		ahead: workersAhead{inbox: inbox, recent: recent, most: maxAhead},
	}
}

// await waits until a row may be started and takes a place in flight for it, which
// cancel or end returns. It is false when ctx is done.
func (p *pacer) await(ctx context.Context) bool {
	p.mu.Lock()
	if p.waitingSince.IsZero() {
		p.waitingSince = p.now()
	}
	p.mu.Unlock()

	for {
		wait := p.ahead.wait(ctx, p.now())
		if wait == 0 {
			var acquired bool
			if acquired, wait = p.acquire(); acquired {
				return true
			}
		}

		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-p.ended:
		case <-due:
		case <-ctx.Done():
			return false
		}
	}
}

// acquire takes a place in flight. If there is none, again is when to ask next, or 0 to
// wait for the end of a start.
func (p *pacer) acquire() (acquired bool, again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, bound := p.now(), int(p.limit)

	if now.Before(p.yieldUntil) {
		if rest := yieldPace - now.Sub(p.lastStart); rest > 0 {
			return false, rest
		}
		bound, again = leastStarts, yieldPace
	}
	if p.inFlight >= bound {
		return false, again
	}

	p.inFlight++
	if !p.waitingSince.IsZero() {
		p.gap += (now.Sub(p.waitingSince) - p.gap) / 16
	}
	p.waitingSince = time.Time{}
	return true, 0
}

// cancel returns a place that was not used.
func (p *pacer) cancel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
}

// begin uses a place for the start of the row with this id.
func (p *pacer) begin(id int64) {
	p.mu.Lock()
	now := p.now()
	p.lastStart = now
	p.mu.Unlock()

	p.ahead.since++
	p.ahead.recent.begin(id, now)
}

// end returns the place and learns from how the start went. started says that the row is
// started; failed that Temporal did not answer, which is not the row's fault.
func (p *pacer) end(took time.Duration, started, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	busy := float64(p.inFlight) >= p.limit/2
	p.inFlight--

	if !failed && (p.fastest == 0 || took < p.fastest) {
		p.fastest = took
	}
	p.fastest += p.fastest / 1000
	p.took += (took - p.took) / 8

	switch {
	case failed:
		p.cut(0.5, took, now)
	case p.took > max(slowFloor, slowFactor*p.fastest):
		p.cut(0.8, took, now)
	case busy && now.Sub(p.lastCut) >= took: // it began after the last cut
		p.limit = min(float64(p.maxInFlight), p.limit+1/p.limit)
	}

	if started {
		b := &p.perSecond[now.Unix()%int64(len(p.perSecond))]
		if b.second != now.Unix() {
			b.second, b.starts = now.Unix(), 0
		}
		b.starts++
	}

	select {
	case p.ended <- struct{}{}:
	default:
	}
}

// cut lowers the limit once per round: starts that were in flight together tell the
// same story.
func (p *pacer) cut(factor float64, took time.Duration, now time.Time) {
	if now.Sub(p.lastCut) < took {
		return
	}
	p.limit, p.lastCut = max(leastStarts, p.limit*factor), now
}

// restart goes back to the fewest starts, for a Temporal that was unavailable: what it
// took before says nothing of what it takes after that.
func (p *pacer) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit, p.lastCut = leastStarts, p.now()
}

// yield makes starts give way to accepting until then: one at a time, with pauses.
func (p *pacer) yield(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.yieldUntil = until
}

// state returns how many starts are in flight, and how many may be.
func (p *pacer) state() (inFlight, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight, int(p.limit)
}

// room returns how many rows can be started before half of what a lease leaves them is
// over; at least 1.
func (p *pacer) room() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startable((Lease - p.took) / 2)
}

// freshRoom returns how many fresh rows can be started within a second while old ones
// wait as well; at least 1.
func (p *pacer) freshRoom() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startable(time.Second / freshShare)
}

// startable returns how many rows can be started within d at the pace of the moment.
func (p *pacer) startable(d time.Duration) int {
	each := max(p.gap, p.took/time.Duration(int(p.limit)), time.Microsecond)
	if waits := p.now().Sub(p.waitingSince); !p.waitingSince.IsZero() && waits >= hiccup {
		each = max(each, waits)
	}
	return int(max(1, d/each))
}

// rate returns how many starts per second there were in the last rateSeconds seconds.
func (p *pacer) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, now := 0, p.now().Unix()
	for _, b := range p.perSecond {
		if age := now - b.second; age >= 1 && age <= rateSeconds {
			n += b.starts
		}
	}
	return float64(n) / rateSeconds
}

// wait returns how long the next start must wait before it asks again; 0 means that the
// workers keep up. If the inbox cannot be counted, starts go on: something else then
// stops them.
func (a *workersAhead) wait(ctx context.Context, now time.Time) time.Duration {
	if a.most < 0 || a.counted+a.since < a.most/2 {
		return 0
	}

	if now.Sub(a.at) >= a.every {
		before := a.counted
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		n, err := a.inbox.CountAhead(ctx, 2*a.most, a.recent.latest(now, 2*a.most))
		cancel()
		if err != nil {
			n = 0
		}

		a.counted, a.since, a.at = n, 0, now
		if n >= a.most && n >= before {
			a.every = min(2*a.every, countSlowest)
		} else {
			a.every = countEvery
		}
	}

	if a.counted+a.since < a.most {
		return 0
	}
	return max(a.at.Add(a.every).Sub(now), time.Millisecond)
}
