package ingress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.uber.org/goleak"

	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/source"
	"mailroom/shared/auditchain"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/seal"
	"mailroom/shared/signing"
	"mailroom/shared/temporal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = "webhook-secret"
	patience   = 20 * time.Second
)

// memoryBodies keeps objects in memory.
type memoryBodies struct {
	mu      sync.Mutex
	objects map[string][]byte
	err     error
	hang    bool // until the caller gives up
}

func (b *memoryBodies) Put(ctx context.Context, bucket blob.Bucket, key string, r io.Reader, size int64, _ string) error {
	if b.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(content)) != size {
		return fmt.Errorf("%d bytes of %d", len(content), size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if b.objects == nil {
		b.objects = map[string][]byte{}
	}
	b.objects[string(bucket)+"/"+key] = content
	return nil
}

func (b *memoryBodies) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.objects)
}

// fakeWorkflows records starts. answer, when set, decides what each gets.
type fakeWorkflows struct {
	mu      sync.Mutex
	starts  []client.StartWorkflowOptions
	inputs  []contract.InboundEmailInput
	now     int
	most    int
	answer  func(ctx context.Context, id string) error
	started chan string
	ended   bool // every workflow was terminated
	// occupants have IDs without having been started here; lost fails each look.
	occupants map[string]*workflowpb.WorkflowExecutionInfo
	lost      error
}

// occupy lets a workflow have an ID that nobody here has started: of this type, for a
// body where it is not empty.
func (w *fakeWorkflows) occupy(t *testing.T, id, workflowType, body string, status enums.WorkflowExecutionStatus) {
	t.Helper()
	info := &workflowpb.WorkflowExecutionInfo{Type: &commonpb.WorkflowType{Name: workflowType}, Status: status}
	if body != "" {
		payload, err := testMemos.ToPayload(sumOf([]byte(body)))
		require.NoError(t, err)
		info.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{contract.MemoBodySHA256: payload}}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.occupants == nil {
		w.occupants = map[string]*workflowpb.WorkflowExecutionInfo{}
	}
	w.occupants[id] = info
}

func (w *fakeWorkflows) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	w.mu.Lock()
	if workflow != contract.InboundEmailWorkflow {
		w.mu.Unlock()
		return nil, fmt.Errorf("workflow %v", workflow)
	}
	w.starts = append(w.starts, o)
	w.inputs = append(w.inputs, args[0].(contract.InboundEmailInput))
	w.now++
	w.most = max(w.most, w.now)
	answer, started := w.answer, w.started
	_, occupied := w.occupants[o.ID]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if started != nil {
		started <- o.ID
	}
	if occupied {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("it is there", "request", "run")
	}
	if answer != nil {
		return nil, answer(ctx, o.ID)
	}
	return nil, nil
}

// testMemos encrypts and reads memos, as the client of a program with keys does.
var testMemos = func() converter.DataConverter {
	keys, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{{ID: "k", Key: config.NewSecret(strings.Repeat("0a", seal.KeySize))}}})
	if err != nil {
		panic(err)
	}
	return temporal.Converter(keys)
}()

// DescribeWorkflowExecution tells the memo of the last start of an id.
func (w *fakeWorkflows) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		return nil, w.lost
	}
	if info, ok := w.occupants[id]; ok {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
	}
	for _, o := range w.starts {
		if o.ID != id {
			continue
		}
		fields := map[string]*commonpb.Payload{}
		for name, value := range o.Memo {
			payload, err := testMemos.ToPayload(value)
			if err != nil {
				return nil, err
			}
			fields[name] = payload
		}
		info := &workflowpb.WorkflowExecutionInfo{
			Memo: &commonpb.Memo{Fields: fields}, Type: &commonpb.WorkflowType{Name: contract.InboundEmailWorkflow},
			Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
		}
		if w.ended {
			info.Status = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
		}
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
	}
	return nil, serviceerror.NewNotFound("no such workflow")
}

// once makes a second start of an id fail as Temporal does.
func (w *fakeWorkflows) once() {
	seen := map[string]bool{}
	var mu sync.Mutex
	w.setAnswer(func(_ context.Context, id string) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[id] {
			return serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
		}
		seen[id] = true
		return nil
	})
}

func (w *fakeWorkflows) setAnswer(f func(ctx context.Context, id string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *fakeWorkflows) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, len(w.starts))
	for i, o := range w.starts {
		out[i] = o.ID
	}
	return out
}

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// door is a whole ingress on a real socket with fakes behind it.
type door struct {
	url       string
	addr      string
	ledger    *memoryLedger
	bodies    *memoryBodies
	workflows *fakeWorkflows
	log       *lines
	registry  *prometheus.Registry
	server    *Server
	spool     string
	client    *http.Client
	failures  failures
	stop      func() error
}

// failures are the failed verifications of a door.
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

func (noKeys) Used(string, int, time.Time) {}

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

func openDoor(t testing.TB, change ...func(*config.Source)) *door {
	t.Helper()
	d := &door{ledger: &memoryLedger{}, bodies: &memoryBodies{}, workflows: &fakeWorkflows{}}
	d.open(t, d.ledger, d.ledger, d.ledger, change...)
	return d
}

// openPiped is openDoor for a synctest bubble.
func openPiped(t testing.TB) *door {
	t.Helper()
	d := &door{ledger: &memoryLedger{}, bodies: &memoryBodies{}, workflows: &fakeWorkflows{}}
	p := newPipes()
	d.serve(t, p, p.dial, d.ledger, d.ledger, d.ledger)
	return d
}

func (d *door) open(t testing.TB, ledger Ledger, inbox Inbox, meter InboxMeter, change ...func(*config.Source)) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d.serve(t, ln, nil, ledger, inbox, meter, change...)
}

// serve opens the door at ln. A nil dial is that of the network.
func (d *door) serve(t testing.TB, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error),
	ledger Ledger, inbox Inbox, meter InboxMeter, change ...func(*config.Source)) {
	t.Helper()
	src, err := source.New(testSource(change...), config.Tenant{Name: "default", Domains: []string{"yourapp.example"}})
	require.NoError(t, err)
	d.log, d.registry, d.spool = &lines{}, prometheus.NewRegistry(), t.TempDir()
	d.server, err = New(Config{Sources: []*source.Source{src}, SpoolDir: d.spool}, Deps{
		Ledger: ledger, Inbox: inbox, Meter: meter, Chain: &fakeChain{}, Bodies: d.bodies, Workflows: d.workflows,
		Reader: d.workflows, Sealer: seal.Keyring{}, Memos: testMemos, Audit: &d.failures, Keys: noKeys{}, Registry: d.registry, Logger: d.log.logger(),
		Durable:  map[string]Check{"postgres": func(context.Context) error { return nil }},
		Optional: map[string]Check{"temporal": func(context.Context) error { return errors.New("away") }},
	})
	require.NoError(t, err)
	d.addr = ln.Addr().String()
	d.url = "http://" + d.addr
	d.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: dial}, Timeout: patience}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.server.Serve(ctx, Listener{Listener: ln}) }()
	d.stop = sync.OnceValue(func() error {
		d.client.CloseIdleConnections()
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		require.NoError(t, d.stop())
		require.Empty(t, d.server.starter.places, "places of the starter in use")
		require.Zero(t, d.server.starter.limiter.inFlight)
		require.Zero(t, d.held(guard.Places), "requests in flight")
		d.requireNoSpool(t)
	})
}

// held is how much of a pool the door's requests hold.
func (d *door) held(p guard.Pool) int64 {
	all, _ := d.server.crowd.Held(p)
	return all
}

// sign gives the headers of a good request.
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

func (d *door) post(t *testing.T, h http.Header, body io.Reader, length int64) reply {
	t.Helper()
	return d.do(t, http.MethodPost, "/webhooks/email", h, body, length)
}

func (d *door) send(t *testing.T, body string) reply {
	t.Helper()
	return d.post(t, sign([]byte(body)), strings.NewReader(body), int64(len(body)))
}

func (d *door) do(t *testing.T, method, path string, h http.Header, body io.Reader, length int64) reply {
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

// padded gives an event whose body has exactly size bytes.
func padded(id string, size int) []byte {
	head, tail := `{"event_id":"`+id+`","recipient":["support@yourapp.example"],"text":"`, `"}`
	return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 2*time.Millisecond, what)
}

var errAway = fault.New(fault.StorageUnavailable, "the database does not answer")

// counted gives the value of a counter.
func counted(t testing.TB, m prometheus.Metric) int {
	t.Helper()
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	return int(out.GetCounter().GetValue())
}
