package downstream

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

const testKey = "mr_00112233445566778899aabbccddeeff"

// metrics records its calls.
type metrics struct {
	mu       sync.Mutex
	results  []string
	breakers []string
}

func (m *metrics) Attempt(_, result string, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, result)
}

func (m *metrics) Breaker(_, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breakers = append(m.breakers, state)
}

func (m *metrics) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.results[len(m.results)-1]
}

func (m *metrics) states() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.breakers...)
}

// testDeps logs nothing and keeps what it is told in memory.
func testDeps() Deps {
	return Deps{Metrics: &metrics{}, Logger: slog.New(slog.DiscardHandler), Answers: newAnswers()}
}

// testDestination is an HTTP server and a Sender with it as destination "to".
type testDestination struct {
	*Sender
	server  *httptest.Server
	metrics *metrics
	answers *answerBook
}

// setup starts a destination. change may change its configuration.
func setup(t *testing.T, handler http.HandlerFunc, change ...func(*config.Destination, *Config)) *testDestination {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d := testDestination{server: server, metrics: &metrics{}}
	to := config.Destination{Name: "to", Tenants: []string{"default"}, URL: server.URL + "/in", AllowPrivate: true, Timeout: 5 * time.Second}
	to.Secret.Key = config.NewSecret("a secret")
	var c Config
	for _, f := range change {
		f(&to, &c)
	}
	c.Destinations = []config.Destination{to}
	deps := testDeps()
	deps.Metrics, d.answers = d.metrics, newAnswers()
	deps.Answers = d.answers
	var err error
	d.Sender, err = New(c, deps)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return &d
}

// try makes one attempt with a small body.
func (d *testDestination) try(ctx context.Context) (status int, called bool, err error) {
	return d.attempt(ctx, ledger.Delivery{Destination: "to", IdempotencyKey: testKey})
}

func (d *testDestination) attempt(ctx context.Context, what ledger.Delivery) (status int, called bool, err error) {
	status, err = d.Send(ctx, contract.Email{EventID: "evt ü", Tenant: "default", CorrelationID: "corr-1"}, what,
		func(context.Context) ([]byte, error) {
			called = true
			return []byte(`{"schema":"mailroom.email.v1"}`), nil
		})
	return status, called, err
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}
}

func timeout(d time.Duration) func(*config.Destination, *Config) {
	return func(to *config.Destination, _ *Config) { to.Timeout = d }
}

func withoutKey(to *config.Destination, _ *Config) {
	no := false
	to.Idempotent = &no
}

// tryCancelled returns the error of a call that its caller cancels once the destination has
// the whole request.
func tryCancelled(t *testing.T, change ...func(*config.Destination, *Config)) error {
	t.Helper()
	arrived := make(chan struct{})
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	}, change...)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, _, err := d.try(ctx)
	return err
}

// reset closes the connection of a request with RST.
func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
