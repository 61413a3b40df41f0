package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"mailroom/activities"
	"mailroom/activities/downstream"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// A worker with a quarter of the usual places, so that few emails fill them.
const (
	fewEmails     = emailsAtOnce / 4
	fewActivities = activitiesAtOnce / 4
	hungSystems   = 20
	hungEach      = 7 // emails for each: more than there are places
	healthyMail   = 150
	healthyEvery  = 100 * time.Millisecond
	// unanswered is how long a call of a hung destination lasts: longer than all the mail
	// takes to be sent, so that no place is free again meanwhile.
	unanswered = 20 * time.Second
	// noise is a p99 that counts as good however quick the healthy destination is alone:
	// the machine has other work. An unanswered call holds its place four times as long.
	noise = 5 * time.Second
)

// systems are destinations that never answer, and one that does at once.
type systems struct {
	mu       sync.Mutex
	arrived  map[string]time.Time // at the healthy one, by event id
	repeats  int
	calls    int // of the hung ones
	released chan struct{}
}

func (s *systems) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, _ := io.ReadAll(r.Body)
	if strings.HasPrefix(r.URL.Path, "/hung") {
		s.mu.Lock()
		s.calls++
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-s.released:
		}
		return
	}
	var got struct {
		EventID string `json:"event_id"`
	}
	_ = json.Unmarshal(body, &got) // an empty id is counted as a repeat
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.arrived[got.EventID]; twice {
		s.repeats++
	}
	s.arrived[got.EventID] = now
	w.WriteHeader(http.StatusOK)
}

// shortWay are the steps of an email but for the delivery; its event id names where it
// goes.
type shortWay struct{}

func (*shortWay) Store(context.Context, contract.StoreInput) (contract.StoreResult, error) {
	return contract.StoreResult{}, nil
}

func (*shortWay) Inspect(_ context.Context, in contract.InspectInput) (contract.InspectResult, error) {
	return contract.InspectResult{Inspected: contract.Inspected{Content: edit.Judged(manifestOf(in.Email.ID))}}, nil
}

func manifestOf(id int64) *ledger.Manifest {
	return &ledger.Manifest{EmailID: id, Recipients: []string{"a@x.example"}}
}

func (*shortWay) Route(_ context.Context, in contract.RouteInput) (contract.RouteResult, error) {
	to, _, _ := strings.Cut(in.Email.EventID, "-")
	return contract.RouteResult{Routes: []string{to}, Destinations: []string{to}}, nil
}

func (*shortWay) RecordState(context.Context, contract.RecordInput) error { return nil }

// deliveryBook is a ledger of deliveries in memory.
type deliveryBook struct {
	mu   sync.Mutex
	rows map[int64]ledger.Delivery
}

func (b *deliveryBook) Manifest(_ context.Context, id int64) (*ledger.Manifest, error) {
	return manifestOf(id), nil
}

func (b *deliveryBook) ListDeliveries(_ context.Context, id int64, _ string) ([]ledger.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, ok := b.rows[id]; ok {
		return []ledger.Delivery{d}, nil
	}
	return nil, nil
}

func (b *deliveryBook) SaveDelivery(_ context.Context, d ledger.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.UpdatedAt = time.Now()
	b.rows[d.EmailID] = d
	return nil
}

// plainMessages are what the emails say, and no attachments.
type plainMessages struct{}

func (plainMessages) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	return &mail.Message{Subject: "hello", Text: "text"}, nil
}

func (plainMessages) Link(context.Context, mail.Attachment, time.Duration) (string, error) {
	return "", nil
}

// hungWorld is a worker whose destinations are those of systems.
type hungWorld struct {
	t     *testing.T
	c     client.Client
	queue string
	next  int64
	*systems
}

// unmeasured drops what a sender measures and saves.
type unmeasured struct{}

func (unmeasured) Attempt(string, string, time.Duration)                  {}
func (unmeasured) Breaker(string, string)                                 {}
func (unmeasured) SaveGone(context.Context, string, time.Duration) error  { return nil }
func (unmeasured) SaveAsked(context.Context, string, time.Duration) error { return nil }
func (unmeasured) SaveRecovered(context.Context, string) error            { return nil }

func newHungWorld(t *testing.T) *hungWorld {
	t.Helper()
	s := &systems{arrived: map[string]time.Time{}, released: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(func() { close(s.released); server.Close() })
	regular := false // a destination without the key takes a place for activities with each call
	to := []config.Destination{{Name: "healthy", URL: server.URL + "/healthy", AllowPrivate: true, Idempotent: &regular}}
	for i := range hungSystems {
		to = append(to, config.Destination{
			Name: fmt.Sprintf("hung%d", i), URL: fmt.Sprintf("%s/hung/%d", server.URL, i), AllowPrivate: true, Timeout: unanswered,
		})
	}
	for i := range to {
		to[i].Secret.Key = config.NewSecret("a secret")
		to[i].Tenants = []string{"default"}
	}
	sender, err := downstream.New(downstream.Config{
		Destinations: to, FastCalls: fewEmails / 4, RegularCalls: fewActivities * 3 / 4,
	}, downstream.Deps{Metrics: unmeasured{}, Logger: slog.New(slog.DiscardHandler), Answers: unmeasured{}})
	require.NoError(t, err)
	deliver, err := activities.NewDeliver(activities.DeliverDeps{
		Ledger: &deliveryBook{rows: map[int64]ledger.Delivery{}}, Messages: plainMessages{}, Links: plainMessages{},
		Sender: sender, Gate: sender, Rests: sender,
	})
	require.NoError(t, err)

	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	queue := "hung-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	w := sdkworker.New(c, queue, sdkworker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: fewEmails, MaxConcurrentActivityExecutionSize: fewActivities,
		MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 4,
		Interceptors: []interceptor.WorkerInterceptor{&attemptInterceptor{tasks: newTaskAttempts()}},
	})
	w.RegisterWorkflow(workflows.InboundEmail)
	w.RegisterActivity(&shortWay{})
	w.RegisterActivity(deliver)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return &hungWorld{t: t, c: c, queue: queue, systems: s}
}

// start begins an email for a destination and returns its event id.
func (w *hungWorld) start(to string) string {
	w.t.Helper()
	w.mu.Lock()
	w.next++
	id := w.next
	w.mu.Unlock()
	event := fmt.Sprintf("%s-%d", to, id)
	_, err := w.c.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{ID: w.queue + "/" + event, TaskQueue: w.queue},
		contract.InboundEmailWorkflow, contract.InboundEmailInput{Email: contract.Email{ID: id, EventID: event, Tenant: "default", WorkflowID: w.queue + "/" + event}})
	require.NoError(w.t, err)
	return event
}

// p99 sends mail for the healthy destination at an even rate, and with each some of
// others, and returns the 99th percentile of the times until it arrives.
func (w *hungWorld) p99(n int, others []string) time.Duration {
	w.t.Helper()
	sent := map[string]time.Time{}
	ticker := time.NewTicker(healthyEvery)
	defer ticker.Stop()
	each := (len(others) + n - 1) / n // evenly: it is the places that are to run out, not the processor
	for range n {
		<-ticker.C
		for range min(each, len(others)) {
			w.start(others[0])
			others = others[1:]
		}
		at := time.Now()
		sent[w.start("healthy")] = at
	}

	var took []time.Duration
	testenv.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		took = took[:0]
		for id, at := range sent {
			if arrived, ok := w.arrived[id]; ok {
				took = append(took, arrived.Sub(at))
			}
		}
		return len(took) == n
	}, time.Minute, 20*time.Millisecond, "every email for the healthy destination arrives")
	slices.Sort(took)
	return took[(n*99+99)/100-1]
}

// TestHungDestinationsHarmOnlyThemselves: twenty destinations never answer, mail for them
// could fill every place of the worker, and mail for the healthy one is as quick as before.
func TestHungDestinationsHarmOnlyThemselves(t *testing.T) {
	w := newHungWorld(t)
	w.p99(10, nil) // the worker learns how quick it is
	alone := w.p99(healthyMail, nil)
	var others []string
	for range hungEach {
		for i := range hungSystems {
			others = append(others, fmt.Sprintf("hung%d", i))
		}
	}
	amongHung := w.p99(healthyMail, others)

	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("p99 alone %v, among %d hung destinations %v; %d calls without an answer", alone, hungSystems, amongHung, w.calls)
	require.Greater(t, w.calls, hungSystems, "they were called")
	require.Zero(t, w.repeats)
	require.LessOrEqual(t, amongHung, max(2*alone, noise))
}
