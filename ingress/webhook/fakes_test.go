package webhook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"mailroom/ingress/accept"
	"mailroom/ingress/authlog"
	"mailroom/ingress/dispatch"
	"mailroom/ingress/guard"
	"mailroom/ingress/ingresstest"
	"mailroom/ingress/source"
	"mailroom/shared/acceptance"
	"mailroom/shared/auditchain"
	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
	"mailroom/shared/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "webhook-secret"

// testIngress is a whole ingress on a real socket with fakes behind it.
type testIngress struct {
	url        string
	addr       string
	ledger     *ingresstest.Ledger
	bodies     *ingresstest.Bodies
	workflows  *ingresstest.Workflows
	log        *ingresstest.Log
	registry   *prometheus.Registry
	server     *Server
	dispatcher *dispatch.Dispatcher
	spool      string
	client     *http.Client
	failures   failures
	stop       func() error
}

// countedClaims counts the reservations that are neither used nor cancelled yet.
type countedClaims struct {
	*dispatch.Dispatcher
	open atomic.Int64
}

func (c *countedClaims) Reserve() bool {
	reserved := c.Dispatcher.Reserve()
	if reserved {
		c.open.Add(1)
	}
	return reserved
}

func (c *countedClaims) Cancel(n int) {
	c.open.Add(int64(-n))
	c.Dispatcher.Cancel(n)
}

func (c *countedClaims) Submit(row postgres.Waiting, until time.Time) {
	c.open.Add(-1)
	c.Dispatcher.Submit(row, until)
}

// gathered returns the sum of the series of a gauge or a counter whose labels are these.
func (d *testIngress) gathered(t testing.TB, name string, labels ...string) int {
	t.Helper()
	families, err := d.registry.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if slices.Equal(labels, values) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return int(sum)
}

// failures are the failed verifications of a testIngress.
type failures struct {
	mu   sync.Mutex
	list []authlog.Failure
}

func (f *failures) Add(one authlog.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, one)
}

// noKeys forgets which key was used.
type noKeys struct{}

func (noKeys) RecordUse(string, int, time.Time) {}

func testSource(change ...func(*config.Source)) config.Source {
	c := config.Source{
		Name: "mailparse", Path: "/webhooks/email", Profile: "mailparse", Schemes: []string{"timestamp-hmac"},
		Secrets:   []config.KeyRef{{Ref: "env:WEBHOOK_SECRET", Key: config.NewSecret(testSecret)}, {Key: config.NewSecret("previous")}},
		Tolerance: 5 * time.Minute, MaxBody: 25 << 20, Tenant: "default",
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// fakeChain is a hash chain that ends at head.
type fakeChain struct {
	head auditchain.Head
	err  error
}

func (f *fakeChain) AuditHead(context.Context) (auditchain.Head, error) { return f.head, f.err }

func openIngress(t testing.TB, change ...func(*config.Source)) *testIngress {
	t.Helper()
	d := &testIngress{ledger: &ingresstest.Ledger{}, bodies: &ingresstest.Bodies{}, workflows: &ingresstest.Workflows{}}
	d.open(t, d.ledger, d.ledger, d.ledger, change...)
	return d
}

// openPiped is openIngress for a synctest bubble.
func openPiped(t testing.TB) *testIngress {
	t.Helper()
	d := &testIngress{ledger: &ingresstest.Ledger{}, bodies: &ingresstest.Bodies{}, workflows: &ingresstest.Workflows{}}
	p := newPipes()
	d.serve(t, p, p.dial, d.ledger, d.ledger, d.ledger)
	return d
}

func (d *testIngress) open(t testing.TB, ledger acceptance.Ledger, inbox dispatch.Inbox, meter InboxMeter, change ...func(*config.Source)) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d.serve(t, ln, nil, ledger, inbox, meter, change...)
}

// serve serves at ln. A nil dial is that of the network.
func (d *testIngress) serve(t testing.TB, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error),
	ledger acceptance.Ledger, inbox dispatch.Inbox, meter InboxMeter, change ...func(*config.Source)) {
	t.Helper()
	src, err := source.New(testSource(change...), config.Tenant{Name: "default", Domains: []string{"yourapp.example"}})
	require.NoError(t, err)
	d.log, d.registry, d.spool = &ingresstest.Log{}, prometheus.NewRegistry(), t.TempDir()

	d.dispatcher, err = dispatch.New(config.Starts{}, dispatch.Deps{
		Inbox: inbox, Workflows: d.workflows, Memos: ingresstest.Memos, Registry: d.registry, Logger: d.log.Logger(),
	})
	require.NoError(t, err)
	fallback, err := accept.NewFallbackStarter(accept.FallbackDeps{
		Workflows: d.workflows, Memos: ingresstest.Memos, Sealer: seal.Keyring{}, Registry: d.registry, Logger: d.log.Logger(),
	})
	require.NoError(t, err)
	claims := &countedClaims{Dispatcher: d.dispatcher}
	accepter, err := accept.New(dispatch.Lease, accept.Deps{Ledger: ledger, Fallback: fallback, Claims: claims, Logger: d.log.Logger()})
	require.NoError(t, err)
	d.server, err = New(Config{Sources: []*source.Source{src}, SpoolDir: d.spool}, Deps{
		Accepter: accepter, Uploader: accept.NewUploader(d.bodies, d.log.Logger()), Starts: d.dispatcher, Meter: meter, Chain: &fakeChain{},
		Audit: &d.failures, Keys: noKeys{}, Registry: d.registry, Logger: d.log.Logger(),
		Durable:  map[string]Check{"postgres": func(context.Context) error { return nil }},
		Optional: map[string]Check{"temporal": func(context.Context) error { return errors.New("away") }},
	})
	require.NoError(t, err)

	d.addr = ln.Addr().String()
	d.url = "http://" + d.addr
	d.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: dial}, Timeout: ingresstest.Patience}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		accepter.Start()
		d.dispatcher.Start()
		err := d.server.Serve(ctx, Listener{Listener: ln})
		accepter.Stop()
		d.dispatcher.Stop()
		done <- err
	}()
	d.stop = sync.OnceValue(func() error {
		d.client.CloseIdleConnections()
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		require.NoError(t, d.stop())
		require.Zero(t, claims.open.Load(), "reservations that were neither used nor cancelled")
		require.Zero(t, d.gathered(t, "mailroom_starts_in_flight"))
		require.Zero(t, d.held(guard.Places), "requests in flight")
		d.requireNoSpool(t)
	})
}

// held is how much of a pool its requests hold.
func (d *testIngress) held(p guard.Pool) int64 {
	all, _ := d.server.receiver.crowd.Held(p)
	return all
}

// sign returns the headers of a good request.
func sign(body []byte) http.Header {
	stamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return http.Header{
		"Content-Type":          {"application/json"},
		signing.TimestampHeader: {stamp},
		signing.SignatureHeader: {signing.TimestampHMAC(testSecret, stamp, body)},
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (d *testIngress) post(t *testing.T, h http.Header, body io.Reader, length int64) reply {
	t.Helper()
	return d.do(t, http.MethodPost, "/webhooks/email", h, body, length)
}

func (d *testIngress) send(t *testing.T, body string) reply {
	t.Helper()
	return d.post(t, sign([]byte(body)), strings.NewReader(body), int64(len(body)))
}

func (d *testIngress) do(t *testing.T, method, path string, h http.Header, body io.Reader, length int64) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, body)
	require.NoError(t, err)
	r.Header, r.ContentLength = h, length
	if h == nil {
		r.Header = http.Header{}
	}
	res, err := d.client.Do(r)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return reply{status: res.StatusCode, header: res.Header, body: string(text)}
}

func mailOf(id string) string {
	return `{"event_id":"` + id + `","recipient":["support@yourapp.example"],"subject":"a secret subject"}`
}

// padded returns an event whose body has exactly size bytes.
func padded(id string, size int) []byte {
	head, tail := `{"event_id":"`+id+`","recipient":["support@yourapp.example"],"text":"`, `"}`
	return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
}
