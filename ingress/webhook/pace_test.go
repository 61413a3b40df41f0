package webhook

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
)

// TestPaceIsSetForEachChunk and not for each byte, and never beyond the end.
func TestPaceIsSetForEachChunk(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("x"), 2*chunkSize+1)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(want), "single bytes": iotest.OneByteReader(bytes.NewReader(want)),
	} {
		var set []time.Time
		end := time.Now().Add(time.Hour)
		p := &pacedBody{visit: openIntake(t, 0).local, r: r, chunk: time.Minute, end: end, deadline: func(at time.Time) error {
			set = append(set, at)
			return errors.New("not supported")
		}}
		got, err := io.ReadAll(p)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(want, got), name)
		require.Len(t, set, 4, "%s: three chunks and the end", name)
		for _, at := range set[:3] {
			require.WithinDuration(t, time.Now().Add(time.Minute), at, 50*time.Second, name)
		}
		require.Equal(t, end, set[3], name)
	}
	var last time.Time
	p := &pacedBody{visit: openIntake(t, 0).local, r: bytes.NewReader(want), chunk: time.Minute, end: time.Now(), deadline: func(at time.Time) error {
		last = at
		return nil
	}}
	_, err := p.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, p.end, last)
}

// TestSlowUploadEndsEarly: a sender that stops in the middle of its body is sent
// away long before the server's ReadTimeout.
func TestSlowUploadEndsEarly(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.server.receiver.chunkTime = 50 * time.Millisecond
	body := padded("evt_slow", 2*chunkSize)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", d.addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(ingresstest.Patience)))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/webhooks/email", http.NoBody)
	require.NoError(t, err)
	r.Header = sign(body)
	var head bytes.Buffer
	require.NoError(t, r.Header.Write(&head))
	_, err = conn.Write([]byte("POST /webhooks/email HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n" + head.String() + "\r\n" + string(body[:chunkSize+1])))
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "503 Service Unavailable")
	require.Contains(t, string(answer), "body_incomplete")
}
