package webhook

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/pgtest"
	"mailroom/shared/signing"
)

// BenchmarkAccept posts signed 4 KB events over sixteen connections against a
// real database, while Temporal is unavailable.
func BenchmarkAccept(b *testing.B) {
	db := pgtest.New(b)
	d := &testIngress{bodies: &ingresstest.Bodies{}, workflows: &ingresstest.Workflows{}}
	d.workflows.SetAnswer(func(context.Context, string) error { return ingresstest.ErrUnavailable })
	d.open(b, db, db, db)
	requests := make([][]byte, b.N)
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	for i := range requests {
		body := padded("evt_"+strconv.Itoa(i), 4<<10)
		requests[i] = fmt.Appendf(nil, "POST /webhooks/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n%s: %s\r\n\r\n%s",
			len(body), signing.TimestampHeader, stamp, signing.SignatureHeader, signing.TimestampHMAC(testSecret, stamp, body), body)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 16 {
		group.Go(func() {
			conn, err := net.Dial("tcp", d.addr)
			require.NoError(b, err)
			defer func() { _ = conn.Close() }()
			answers := bufio.NewReader(conn)
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				_, err := conn.Write(requests[i])
				require.NoError(b, err)
				res, err := http.ReadResponse(answers, nil)
				require.NoError(b, err)
				require.Equal(b, http.StatusOK, res.StatusCode)
				var text bytes.Buffer
				_, err = text.ReadFrom(res.Body)
				require.NoError(b, err)
				require.True(b, strings.Contains(text.String(), `"duplicate":false`))
			}
		})
	}
	group.Wait()
	b.StopTimer()
}
