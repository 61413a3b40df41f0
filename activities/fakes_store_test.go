package activities_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// books is a ledger in memory for one email.
type books struct {
	mu        sync.Mutex
	body      ledger.Body
	manifest  *ledger.Manifest
	manifests int                 // how often one was saved
	earlier   map[string][]string // event ids, and rows as "%x7", by tenant
	lost      int                 // how many saves succeed and answer with an error
	down      bool
	reads     int // of the manifest and of deliveries

	deliveries map[string]ledger.Delivery // by destination, and "#" and the effect of a replay's
	saved      []ledger.DeliveryState     // in order
	calls      []ledger.Call              // as they were saved
	saveFails  bool
	now        func() time.Time // when deliveries are written; nil: never
}

var errUnavailable = fault.New(fault.StorageUnavailable, "the database is unavailable")

func (b *books) Body(context.Context, int64) (ledger.Body, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return ledger.Body{}, errUnavailable
	}
	return b.body, nil
}

func (b *books) EarlierExists(_ context.Context, e contract.Email, events []string, rows []int64) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return false, errUnavailable
	}
	for _, row := range rows {
		events = append(events, fmt.Sprintf("%%x%d", row))
	}
	return slices.ContainsFunc(b.earlier[e.Tenant], func(id string) bool { return slices.Contains(events, id) }), nil
}

// SaveManifest removes the inbox row as well: from then on the body is elsewhere.
func (b *books) SaveManifest(_ context.Context, m ledger.Manifest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.manifest, b.body.Inline, b.body.Key, b.body.Stored = &m, nil, m.RawKey, true
	b.manifests++
	if b.lost > 0 {
		b.lost--
		return errUnavailable
	}
	return nil
}

func (b *books) Manifest(context.Context, int64) (*ledger.Manifest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	if b.down {
		return nil, errUnavailable
	}
	return b.manifest, nil
}

func (b *books) ListDeliveries(_ context.Context, _ int64, destination string) ([]ledger.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	var out []ledger.Delivery
	for _, key := range slices.Sorted(maps.Keys(b.deliveries)) {
		if d := b.deliveries[key]; d.Destination == destination || key == destination {
			out = append(out, d)
		}
	}
	return out, nil
}

func place(d ledger.Delivery) string {
	if d.Effect == "" {
		return d.Destination
	}
	return d.Destination + "#" + d.Effect
}

func (b *books) SaveDelivery(ctx context.Context, d ledger.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.saveFails {
		return errUnavailable
	}
	if b.now != nil {
		d.UpdatedAt = b.now()
	}
	if b.deliveries == nil {
		b.deliveries = map[string]ledger.Delivery{}
	}
	if d.Call != nil {
		b.calls = append(b.calls, *d.Call)
		d.Call = nil // is not read back
	}
	if !b.deliveries[place(d)].State.Over() {
		b.deliveries[place(d)] = d
	}
	b.saved = append(b.saved, d.State)
	return nil
}

// shelf is an object store in memory.
type shelf struct {
	mu          sync.Mutex
	raw         map[string][]byte
	attachments map[string][]byte
	puts        int
	down        bool
}

func (s *shelf) PutRaw(_ context.Context, key string, content []byte, contentType string) error {
	if contentType == "" {
		return fmt.Errorf("object %s has no content type", key)
	}
	return s.put(&s.raw, key, content)
}

func (s *shelf) PutAttachment(_ context.Context, key string, content []byte) error {
	return s.put(&s.attachments, key, content)
}

func (s *shelf) put(in *map[string][]byte, key string, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return fault.New(fault.StorageUnavailable, "the object store is unavailable")
	}
	if *in == nil {
		*in = map[string][]byte{}
	}
	if old, ok := (*in)[key]; ok && string(old) != string(content) {
		return fmt.Errorf("object %s is overwritten with other bytes", key)
	}
	(*in)[key] = append([]byte{}, content...)
	s.puts++
	return nil
}

func (s *shelf) Body(_ context.Context, key string, limit int64, sum string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.raw[key]
	if !ok || int64(len(content)) > limit || hexOf(content) != sum {
		return nil, fault.New(fault.ContentLost, "the object is not there")
	}
	return append([]byte{}, content...), nil
}

func (s *shelf) Message(_ context.Context, m *ledger.Manifest) (*mail.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded := m.Message
	if m.MessageKey != "" {
		encoded = s.raw[m.MessageKey]
	}
	var message mail.Message
	return &message, json.Unmarshal(encoded, &message)
}

func (s *shelf) Link(_ context.Context, a mail.Attachment, expiry time.Duration) (string, error) {
	return fmt.Sprintf("http://files.example/%s?expires=%d", a.Key, int(expiry.Seconds())), nil
}

// decoder returns what it was told to.
type decoder func(body []byte) (*mail.Event, []contract.Hold)

func (d decoder) Decode(body []byte, _ *contract.Edit) (*mail.Event, []contract.Hold) { return d(body) }

func hexOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func email(size int) contract.Email {
	return contract.Email{
		ID: 7, WorkflowID: "evt-1", Source: "mailparse", EventID: "evt-1", Tenant: "default",
		CorrelationID: "corr-1", Size: int64(size),
	}
}

// requireCode holds an activity's error against a fault code.
func requireCode(t *testing.T, err error, code fault.Code, retried bool) {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, string(code), app.Type())
	require.Equal(t, retried, !app.NonRetryable())
}
