package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/ingress/ingresstest"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/signing"
)

func TestAcceptedEvent(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	h := sign([]byte(mailOf("evt_<1>")))
	h.Set("X-Correlation-Id", "call-7")
	got := d.post(t, h, strings.NewReader(mailOf("evt_<1>")), -1)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.JSONEq(t, `{"ok":true,"status":"ok","id":"evt_<1>","duplicate":false}`, got.body)
	require.Equal(t, "call-7", got.header.Get("X-Correlation-Id"))
	require.Equal(t, "application/json; charset=utf-8", got.header.Get("Content-Type"))

	got = d.post(t, sign([]byte(mailOf("evt_<1>"))), strings.NewReader(mailOf("evt_<1>")), -1)
	require.JSONEq(t, `{"ok":true,"status":"ok","id":"evt_<1>","duplicate":true}`, got.body)
	require.NotEmpty(t, got.header.Get("X-Correlation-Id"))

	// Another body under the same id is kept.
	other := strings.Replace(mailOf("evt_<1>"), "secret subject", "other subject", 1)
	require.Contains(t, d.send(t, other).body, `"duplicate":false`)

	require.Equal(t, 2, d.ledger.Size())
	row := d.ledger.Rows[0]
	require.Equal(t, "mailparse", row.Source)
	require.Equal(t, "evt_<1>", row.WorkflowID)
	require.Equal(t, "default", row.Tenant)
	require.Equal(t, "call-7", row.CorrelationID)
	require.Equal(t, mailOf("evt_<1>"), string(row.Body))
	require.Empty(t, row.BodyKey)
	require.Nil(t, row.Hold)
	require.Equal(t, contract.Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:WEBHOOK_SECRET"}, row.Verified)
	require.Equal(t, ingresstest.SumOf(row.Body), fmt.Sprintf("%x", row.BodySHA256))
	require.Equal(t, contract.ConflictWorkflowID("mailparse", "evt_<1>", d.ledger.Rows[1].BodySHA256), d.ledger.Rows[1].WorkflowID)

	m := d.server.metrics
	require.Equal(t, 1, ingresstest.Counted(t, m.accepted.WithLabelValues("mailparse", "inserted")))
	require.Equal(t, 1, ingresstest.Counted(t, m.accepted.WithLabelValues("mailparse", "conflict")))
	require.Equal(t, 1, ingresstest.Counted(t, m.duplicates.WithLabelValues("mailparse")))
	require.Equal(t, 3, ingresstest.Counted(t, m.verifications.WithLabelValues("mailparse", "timestamp-hmac", "1", "ok")))
	require.Equal(t, 3, ingresstest.Counted(t, m.requests.WithLabelValues("/webhooks/email", "200")))

	// One line for each, with the ids and without the mail.
	require.Equal(t, 3, strings.Count(d.log.String(), "event.received"))
	require.Contains(t, d.log.String(), `"event_id":"evt_<1>","correlation_id":"call-7","tenant":"default","source":"mailparse"`)
	require.NotContains(t, d.log.String(), "secret subject")
	require.NotContains(t, d.log.String(), "yourapp.example")
}

func TestForeignRecipientIsHeld(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	require.Equal(t, http.StatusOK, d.send(t, `{"event_id":"evt_1","recipient":["x@other.example"]}`).status)
	require.Equal(t, contract.RecipientForeign, d.ledger.Rows[0].Hold.Reason)
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 1 }, "it is started all the same")
	require.Equal(t, contract.RecipientForeign, d.workflows.Inputs[0].Hold.Reason)
}

// requireNothing stops the ingress and sees that it kept nothing.
func (d *testIngress) requireNothing(t *testing.T) {
	t.Helper()
	require.NoError(t, d.stop())
	require.Zero(t, d.ledger.Size())
	require.Zero(t, d.bodies.Size())
	require.Empty(t, d.workflows.IDs())
	d.requireNoSpool(t)
	for _, trace := range []string{"evt_", "correlation-refused", "secret subject", "yourapp"} {
		require.NotContains(t, d.log.String(), trace)
	}
}

func (d *testIngress) requireNoSpool(t testing.TB) {
	t.Helper()
	left, err := os.ReadDir(d.spool)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Zero(t, d.held(guard.Files), "spool places in use")
	require.Zero(t, d.held(guard.Buffers), "memory places in use")
}

func TestGoodContentTypes(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for i, kind := range []string{"application/json", "application/json; charset=utf-8", `APPLICATION/JSON;charset="UTF-8"`} {
		body := mailOf("evt_" + strconv.Itoa(i))
		h := sign([]byte(body))
		h.Set("Content-Type", kind)
		h.Set("Content-Encoding", "identity")
		require.Equal(t, http.StatusOK, d.post(t, h, strings.NewReader(body), int64(len(body))).status, kind)
	}
}

// TestBodySizes crosses each border of where a body is kept, with and without
// Content-Length, up to the cap of 25 MiB exactly.
func TestBodySizes(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for _, size := range []int{200, inlineMax, inlineMax + 1, memoryMax, memoryMax + 1, 25 << 20} {
		for _, chunked := range []bool{false, true} {
			id := fmt.Sprintf("evt_%d_%v", size, chunked)
			body := padded(id, size)
			length := int64(size)
			if chunked {
				length = -1
			}
			got := d.post(t, sign(body), bytes.NewReader(body), length)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", id, got.body)
			row := d.ledger.Rows[len(d.ledger.Rows)-1]
			require.Equal(t, id, row.EventID)
			require.Equal(t, int64(size), row.Size)
			if size <= inlineMax {
				require.Equal(t, body, row.Body)
				continue
			}
			require.Nil(t, row.Body)
			require.Equal(t, contract.EventBodyKey(sha256.Sum256(body), id), row.BodyKey)
			require.True(t, bytes.Equal(body, d.bodies.Objects[string(blob.Raw)+"/"+row.BodyKey]), id)
		}
	}
	d.requireNoSpool(t)
}

func TestOneByteTooLarge(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	body := padded("evt_refused", 25<<20+1)
	for _, length := range []int64{int64(len(body)), -1} {
		got := d.post(t, sign(body), bytes.NewReader(body), length)
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		require.Contains(t, got.body, string(fault.BodyTooLarge))
	}
	d.requireNothing(t)
}

// TestDeclaredTooLargeIsRefusedAtOnce sends a header alone: the answer must not
// wait for a body.
func TestDeclaredTooLargeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	conn := d.dial(t)
	h := sign(nil)
	_, err := fmt.Fprintf(conn, "POST /webhooks/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", signing.TimestampHeader, h.Get(signing.TimestampHeader),
		signing.SignatureHeader, h.Get(signing.SignatureHeader), 25<<20+1)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	require.True(t, res.Close, "Connection: close")
	d.requireNothing(t)
}

func (d *testIngress) dial(t *testing.T) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", d.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(ingresstest.Patience)))
	return conn
}

// TestAbortedUpload breaks off in the middle of a body that is already spooled.
func TestAbortedUpload(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	body := padded("evt_refused", 4<<20)
	for _, half := range []bool{true, false} {
		conn := d.dial(t)
		h := sign(body)
		_, err := fmt.Fprintf(conn, "POST /webhooks/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
			"%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", signing.TimestampHeader, h.Get(signing.TimestampHeader),
			signing.SignatureHeader, h.Get(signing.SignatureHeader), len(body))
		require.NoError(t, err)
		_, err = conn.Write(body[:3<<20])
		require.NoError(t, err)
		ingresstest.Eventually(t, func() bool { return d.held(guard.Files) == 1 }, "the body is being spooled")
		ingresstest.Eventually(t, func() bool {
			left, err := os.ReadDir(d.spool)
			return err == nil && len(left) == 0
		}, "the spool file has no name")
		if half { // the sender still listens
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			require.Contains(t, string(text), string(fault.BodyIncomplete))
		}
		require.NoError(t, conn.Close())
		ingresstest.Eventually(t, func() bool { return d.held(guard.Files) == 0 }, "its place is free again")
	}
	d.requireNothing(t)
}

// TestStorageUnavailable sees that nothing but a commit makes a 2xx.
func TestStorageUnavailable(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.ledger.Refuse = func(context.Context, []postgres.Acceptance) error { return ingresstest.ErrUnavailable }
	d.workflows.SetAnswer(func(context.Context, string) error { return errors.New("away") })
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			got := d.send(t, mailOf("evt_"+strconv.Itoa(i)))
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.Equal(t, "5", got.header.Get("Retry-After"))
			require.Contains(t, got.body, `"error":"storage_unavailable"`)
		})
	}
	group.Wait()

	// The object store as well, for what does not fit a row.
	d.bodies.Err = io.ErrClosedPipe
	body := padded("evt_large", 2<<20)
	got := d.post(t, sign(body), bytes.NewReader(body), -1)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, got.body, "pipe")
	require.Zero(t, d.ledger.Size())
	require.NotContains(t, d.log.String(), "evt_")
}

func TestOverloadIsTold(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	var visits []*guard.Visit
	for range maxInFlight {
		visit, ok := d.server.receiver.crowd.Enter(netip.MustParseAddr("127.0.0.1"), false)
		require.True(t, ok)
		visits = append(visits, visit)
	}
	got := d.send(t, mailOf("evt_1"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.body, string(fault.Overloaded))
	for _, visit := range visits {
		visit.Leave()
	}
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
}

func TestCorrelationIDsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "with space", "tab\t", "é", "nul\x00", strings.Repeat("x", 129)} {
		got := correlationID(http.Header{"X-Correlation-Id": {text}})
		require.Regexp(t, `^[0-9a-f]{32}$`, got)
	}
	require.Regexp(t, `^[0-9a-f]{32}$`, correlationID(http.Header{"X-Correlation-Id": {"a", "b"}}))
	require.Equal(t, strings.Repeat("x", 128), correlationID(http.Header{"X-Correlation-Id": {strings.Repeat("x", 128)}}))
	require.NotEqual(t, correlationID(http.Header{}), correlationID(http.Header{}))
}
