package webhook

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/ingress/guard"
	"mailroom/shared/auditchain"
)

// Bounds of the readiness check: its answer is kept for healthFor, and a
// dependency that does not answer within healthTimeout is unavailable.
const (
	healthFor     = time.Second
	healthTimeout = time.Second
	depthEvery    = 5 * time.Second
)

// Check reports whether a dependency can be used.
type Check func(ctx context.Context) error

// InboxMeter measures what waits for its start, of all ingresses together.
type InboxMeter interface {
	InboxDepth(ctx context.Context) (waiting int64, oldest time.Duration, err error)
}

// ChainMeter tells where the hash chain of decisions ends.
type ChainMeter interface {
	AuditHead(ctx context.Context) (auditchain.Head, error)
}

// health answers /healthz and /readyz. Ready means that an event would be accepted,
// because one of the dependencies that make it durable is available. Degraded is ready as
// well, with a dependency unavailable that the ingress does without for a while.
type health struct {
	durable  map[string]Check // one of them is enough
	optional map[string]Check
	// backpressure is told how much waits.
	backpressure *guard.Backpressure
	starts       Starts
	inbox        InboxMeter
	chain        ChainMeter
	metrics      *metrics
	now          func() time.Time
	stopping     atomic.Bool

	mu   sync.Mutex
	last readiness
	at   time.Time

	depth atomic.Pointer[inboxDepth]
}

// readiness is what operators learn of the ingress.
type readiness struct {
	OK     bool              `json:"ok"`
	Status string            `json:"status"`           // ready, degraded, unready or stopping
	Checks map[string]string `json:"checks,omitempty"` // ok or unavailable
	Inbox  *inboxDepth       `json:"inbox,omitempty"`
}

type inboxDepth struct {
	Waiting         int64   `json:"waiting"`
	OldestSeconds   float64 `json:"oldest_seconds"`
	StartsPerSecond float64 `json:"starts_per_second"` // of this ingress
}

// serveLive answers /healthz.
func (h *health) serveLive(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, struct {
		OK     bool   `json:"ok"`
		Status string `json:"status"`
	}{true, "alive"})
}

// serveReady answers /readyz of the public listener with nothing but the status.
func (h *health) serveReady(w http.ResponseWriter, r *http.Request) {
	status, state := h.currentState(r.Context())
	respond(w, status, readiness{OK: state.OK, Status: state.Status})
}

// ServeReadyDetails answers operators, and what scrapes metrics, with which dependencies
// are unavailable and how much waits.
func (s *Server) ServeReadyDetails(w http.ResponseWriter, r *http.Request) {
	status, state := s.health.currentState(r.Context())
	respond(w, status, state)
}

// Health returns what /readyz says: its status, and a word for each dependency.
func (s *Server) Health(ctx context.Context) (status string, checks map[string]string) {
	_, state := s.health.currentState(ctx)
	return state.Status, state.Checks
}

// ServeStarting answers /readyz in place of ServeReadyDetails while there is no server yet.
func ServeStarting(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusServiceUnavailable, readiness{Status: "starting"})
}

// currentState returns the readiness and its HTTP status.
func (h *health) currentState(ctx context.Context) (status int, state readiness) {
	if h.stopping.Load() {
		return http.StatusServiceUnavailable, readiness{Status: "stopping"}
	}
	state = h.checkDependencies(context.WithoutCancel(ctx))
	state.Inbox = h.depth.Load()
	if !state.OK {
		return http.StatusServiceUnavailable, state
	}
	return http.StatusOK, state
}

// checkDependencies checks all of them concurrently, at most once per healthFor however
// many requests ask.
func (h *health) checkDependencies(ctx context.Context) readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && h.now().Sub(h.at) < healthFor {
		return h.last
	}

	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		state = readiness{Status: "ready", Checks: map[string]string{}}
	)

	run := func(name string, check Check, durable bool) {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				state.Checks[name], state.Status = "unavailable", "degraded"
				return
			}
			state.Checks[name] = "ok"
			state.OK = state.OK || durable
		})
	}

	for name, check := range h.durable {
		run(name, check, true)
	}
	for name, check := range h.optional {
		run(name, check, false)
	}
	wg.Wait()

	if !state.OK {
		state.Status = "unready"
	}
	h.last, h.at = state, h.now()
	return state
}

// runMeasurements keeps the gauges of the inbox and of the chain fresh until ctx is done.
// While the database is unavailable they keep their last value.
func (h *health) runMeasurements(ctx context.Context) {
	tick := time.NewTicker(depthEvery)
	defer tick.Stop()
	for {
		h.measureInbox(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// measureInbox reads the depth of the inbox and the head of the chain.
func (h *health) measureInbox(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, depthEvery)
	defer cancel()
	waiting, oldest, err := h.inbox.InboxDepth(ctx)
	if err != nil {
		return // /readyz shows it
	}

	h.backpressure.RecordInbox(waiting, oldest, h.now())
	h.metrics.inboxWaiting.Set(float64(waiting))
	h.metrics.inboxOldest.Set(oldest.Seconds())
	h.depth.Store(&inboxDepth{Waiting: waiting, OldestSeconds: oldest.Seconds(), StartsPerSecond: h.starts.PerSecond()})

	// Last, so that backpressure does not wait for it. The gauge is not shown before the
	// head was read: a restart must not look like a chain that was cut off.
	if head, err := h.chain.AuditHead(ctx); err == nil {
		h.metrics.auditSeq.WithLabelValues().Set(float64(head.Seq))
	}
}
