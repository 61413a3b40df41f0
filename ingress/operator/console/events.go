package console

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
)

const (
	pulseEvery   = 1500 * time.Millisecond
	pulseTimeout = 5 * time.Second
	// heartbeat keeps proxies from closing a silent connection.
	heartbeat = 15 * time.Second
	// liveFor is how long one connection lasts. The browser connects again by itself with
	// its session, so that no connection outlives a session by more.
	liveFor      = 90 * time.Second
	maxListeners = 256
	maxPerPerson = 16
	everything   = "everything"
)

// hub looks for changes once for all open pages, and wakes those that they concern.
type hub struct {
	changes Changes
	logger  *slog.Logger
	every   time.Duration

	mu        sync.Mutex
	listeners map[*listener]bool
	running   bool
	closed    bool
	urgent    chan struct{}
	done      chan struct{}
}

// listener is one open page.
type listener struct {
	person string
	email  int64 // 0: none
	seen   bool  // run has read the tokens from which its changes are counted; run alone uses it
	wake   chan struct{}

	mu     sync.Mutex
	topics map[string]bool
}

func newHub(changes Changes, logger *slog.Logger) *hub {
	return &hub{changes: changes, logger: logger, every: pulseEvery, listeners: map[*listener]bool{},
		urgent: make(chan struct{}, 1), done: make(chan struct{})}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
}

// nudge makes run look for changes at once, after a change by an operator or for a page that
// has just connected.
func (h *hub) nudge() {
	select {
	case h.urgent <- struct{}{}:
	default:
	}
}

// join adds a listener; false when there are too many.
func (h *hub) join(person string, email int64) (*listener, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()

	mine := 0
	for l := range h.listeners {
		if l.person == person {
			mine++
		}
	}

	if h.closed || len(h.listeners) >= maxListeners || mine >= maxPerPerson {
		return nil, false
	}

	l := &listener{person: person, email: email, wake: make(chan struct{}, 1), topics: map[string]bool{}}
	h.listeners[l] = true
	if !h.running {
		h.running = true
		go h.run()
	}

	h.nudge()
	return l, true
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

// run looks for changes until no page is open.
func (h *hub) run() {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()

	var last pulse
	for {
		all, ok := h.audience()
		if !ok {
			return
		}
		next, err := h.readPulse(all)
		if err != nil {
			h.logger.Warn("console.pulse", slog.Any("error", err))
		} else {
			last.wakeChanged(next, all)
			last = next
		}
		select {
		case <-ticker.C:
		case <-h.urgent:
		case <-h.done:
			return
		}
	}
}

// audience returns the open pages; false, and the end of run, when there are none.
func (h *hub) audience() ([]*listener, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 || h.closed {
		h.running = false
		return nil, false
	}
	return slices.Collect(maps.Keys(h.listeners)), true
}

func (h *hub) readPulse(all []*listener) (pulse, error) {
	var watched []int64
	for _, l := range all {
		if l.email != 0 && !slices.Contains(watched, l.email) {
			watched = append(watched, l.email)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), pulseTimeout)
	defer cancel()
	topics, emails, err := h.changes.Pulse(ctx, watched)
	if err != nil {
		return pulse{}, fmt.Errorf("look for changes: %w", err)
	}
	return pulse{topics: topics, emails: emails}, nil
}

// pulse holds the tokens of one moment.
type pulse struct {
	topics map[string]string
	emails map[int64]string
}

// wakeChanged wakes each listener with what differs between p and next. A page that has just
// connected was rendered before next was read: it loads everything once more, after that.
func (p pulse) wakeChanged(next pulse, all []*listener) {
	var changed []string
	for topic, token := range next.topics {
		if before, ok := p.topics[topic]; ok && before != token {
			changed = append(changed, topic)
		}
	}
	for _, l := range all {
		if !l.seen {
			l.seen = true
			l.wakeWith(everything)
			continue
		}
		topics := changed
		if before, ok := p.emails[l.email]; ok && before != next.emails[l.email] {
			topics = append(slices.Clone(changed), "email")
		}
		l.wakeWith(topics...)
	}
}

func (l *listener) wakeWith(topics ...string) {
	if len(topics) == 0 {
		return
	}
	l.mu.Lock()
	for _, t := range topics {
		l.topics[t] = true
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) takeTopics() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	topics := slices.Sorted(maps.Keys(l.topics))
	clear(l.topics)
	return topics
}

// livePages tells open pages what has changed.
type livePages struct {
	*site
	*mailReader
}

// events streams what has changed, as server-sent events that name topics and nothing of
// any mail. The page then loads what the caller's tenants allow.
func (h *livePages) events(g *gin.Context) error {
	var email int64
	if g.Query("id") != "" {
		g.Params = append(g.Params, gin.Param{Key: "event_id", Value: noID})
		found, err := h.find(g)
		if err != nil {
			return err
		}
		email = found.ID
	}

	l, ok := h.live.join(access.From(g.Request.Context()).Name, email)
	if !ok {
		return fault.New(fault.Overloaded, "too many pages are open: close some, this one works without live updates").After(time.Minute)
	}
	defer h.live.leave(l)

	end := time.Now().Add(liveFor)
	control := http.NewResponseController(g.Writer)
	// The timeouts of the server are for requests that end.
	_ = control.SetReadDeadline(end.Add(heartbeat))
	_ = control.SetWriteDeadline(end.Add(heartbeat))
	header := g.Writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	g.Status(http.StatusOK)
	_, _ = g.Writer.WriteString("retry: 2000\n\n")
	h.stream(g, control, l, end)
	return nil
}

// stream writes until the time is up or either side closes the connection.
func (h *livePages) stream(g *gin.Context, control *http.ResponseController, l *listener, end time.Time) {
	over := time.NewTimer(time.Until(end))
	defer over.Stop()

	beat := time.NewTicker(heartbeat)
	defer beat.Stop()

	for {
		if err := control.Flush(); err != nil {
			return
		}
		var err error
		select {
		case <-l.wake:
			_, err = g.Writer.WriteString("event: changed\ndata: " + strings.Join(l.takeTopics(), " ") + "\n\n")
		case <-beat.C:
			_, err = g.Writer.WriteString(": here\n\n")
		case <-over.C:
			return
		case <-g.Request.Context().Done():
			return
		case <-h.live.done:
			return
		}
		if err != nil {
			return
		}
	}
}
