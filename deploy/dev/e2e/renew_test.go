package e2e_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// postEvery is how often each of the four posts: often enough for several in each moment of
// a restart, and seldom enough for a busy machine to deliver them.
const postEvery = 100 * time.Millisecond

// poster posts emails until it is stopped, some over new connections and some over kept ones.
type poster struct {
	mu       sync.Mutex
	accepted []string
	failed   []string
	stop     context.CancelFunc
	group    sync.WaitGroup
}

func startPosting(w *world) *poster {
	ctx, stop := context.WithCancel(context.Background())
	p := &poster{stop: stop}
	for i := range 4 {
		own := *w
		own.http = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		p.group.Go(func() {
			pace := time.NewTicker(postEvery)
			defer pace.Stop()
			for ctx.Err() == nil {
				<-pace.C
				id := newID()
				a, err := own.call(context.Background(), shapeA(id, "support").json(), nil)
				p.record(id, a.Status, err)
			}
		})
	}
	return p
}

func (p *poster) record(id string, status int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.failed = append(p.failed, err.Error())
	case status != http.StatusOK:
		p.failed = append(p.failed, http.StatusText(status))
	default:
		p.accepted = append(p.accepted, id)
	}
}

// flows waits until more emails are accepted.
func (p *poster) flows(t *testing.T, more int) {
	t.Helper()
	count := func() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.accepted) }
	until := count() + more
	testenv.Eventually(t, func() bool { return count() >= until }, patience, tick)
}

// TestRestartRefusesNoPost restarts and reloads ingress and worker under a stream of posts:
// no post fails, every accepted email is delivered once, and what cannot start or cannot be
// used leaves everything as it was.
func TestRestartRefusesNoPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	sound, err := os.ReadFile(w.options.Config)
	require.NoError(t, err)
	p := startPosting(w)
	defer p.stop()
	p.flows(t, 20)

	ingress, worker := w.PID(stack.Ingress), w.PID(stack.Worker)
	require.NoError(t, w.Renew(t.Context()))
	require.NotEqual(t, ingress, w.PID(stack.Ingress))
	require.NotEqual(t, worker, w.PID(stack.Worker))
	p.flows(t, 20)

	// An ingress that cannot start leaves the one that runs.
	ingress = w.PID(stack.Ingress)
	w.configure([]byte(strings.Replace(string(sound), "profile: mailparse", "profile: nothing", 1)))
	require.ErrorContains(t, w.Renew(t.Context()), "the one that ran before goes on")
	require.Equal(t, ingress, w.PID(stack.Ingress))
	p.flows(t, 20)

	// Neither does a file that cannot be used: it is refused, and the log says why.
	hup := func(service, want string) {
		require.NoError(t, syscall.Kill(w.PID(service), syscall.SIGHUP))
		testenv.Eventually(t, func() bool {
			text, err := os.ReadFile(w.LogFile(service))
			return err == nil && strings.Contains(string(text), want)
		}, patience, tick, "%s does not log %s", service, want)
	}
	hup(stack.Ingress, `"msg":"config.refused"`)
	hup(stack.Worker, `"msg":"config.refused"`)
	p.flows(t, 20)

	// A changed file is taken.
	w.configure([]byte(strings.Replace(string(sound), "routes:", "routes:\n  - {name: renewed, when: {recipient: \"renewed@*\"}, to: [ticketing]}", 1)))
	hup(stack.Ingress, `"changed":["routes"]`)
	hup(stack.Worker, `"changed":["routes"]`)
	require.Equal(t, ingress, w.PID(stack.Ingress))
	p.flows(t, 20)

	p.stop()
	p.group.Wait()
	require.Empty(t, p.failed, "of %d posts", len(p.accepted)+len(p.failed))
	testenv.Eventually(t, func() bool {
		return w.count(`SELECT count(*) FROM emails WHERE event_id = ANY($1) AND state = 'delivered'`, p.accepted) == len(p.accepted)
	}, patience, tick, "each of %d accepted emails is delivered", len(p.accepted))
	last := p.accepted[len(p.accepted)-1]
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(last))

	id := newID()
	w.accept(shapeA(id, "renewed").json())
	w.until(id, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id), "the new rule is in use without a restart")
}
