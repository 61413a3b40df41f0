package guard

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2conn is a client that writes single HTTP/2 frames. A goroutine reads what the
// server sends.
type h2conn struct {
	*http2.Framer

	conn     net.Conn
	settings chan map[http2.SettingID]uint32
	window   chan uint32
	status   chan string
	gone     chan struct{}
	pending  bytes.Buffer
	encoder  *hpack.Encoder
}

func (d *guardedServer) dialH2(t testing.TB) *h2conn {
	t.Helper()
	conn, err := tls.Dial("tcp", d.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	h := &h2conn{
		Framer: http2.NewFramer(conn, conn), conn: conn, gone: make(chan struct{}),
		settings: make(chan map[http2.SettingID]uint32, 1), window: make(chan uint32, 1), status: make(chan string, 100),
	}
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.encoder = hpack.NewEncoder(&h.pending)
	require.NoError(t, h.WriteSettings())
	go h.read()
	t.Cleanup(func() { conn.Close(); <-h.gone })
	return h
}

func (h *h2conn) read() {
	defer close(h.gone)
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			return
		}

		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			got := map[http2.SettingID]uint32{}
			_ = f.ForeachSetting(func(s http2.Setting) error { got[s.ID] = s.Val; return nil })
			h.settings <- got
		case *http2.WindowUpdateFrame:
			select {
			case h.window <- f.Increment:
			default:
			}
		case *http2.MetaHeadersFrame:
			select {
			case h.status <- f.PseudoValue("status"):
			default:
			}
		}
	}
}

// open begins a stream whose body never ends. more are names and values.
func (h *h2conn) open(stream uint32, path string, more ...string) error {
	h.pending.Reset()
	fields := append([]string{":method", "POST", ":scheme", "https", ":authority", "a", ":path", path}, more...)
	for i := 0; i < len(fields); i += 2 {
		if err := h.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	block := h.pending.Bytes()
	first := block[:min(len(block), maxFrame)]
	rest := block[len(first):]
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		part := rest[:min(len(rest), maxFrame)]
		rest = rest[len(part):]
		err = h.WriteContinuation(stream, len(rest) == 0, part)
	}
	return err
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatal("no frame arrived")
		panic("unreachable")
	}
}

// TestHTTP2AnnouncesItsBounds reads the SETTINGS of the server.
func TestHTTP2AnnouncesItsBounds(t *testing.T) {
	t.Parallel()
	h := startServer(t, true, 100, 100).dialH2(t)
	got := receive(t, h.settings)
	require.Equal(t, uint32(maxStreams), got[http2.SettingMaxConcurrentStreams])
	require.Equal(t, uint32(streamWindow), got[http2.SettingInitialWindowSize])
	require.Equal(t, uint32(maxFrame), got[http2.SettingMaxFrameSize])
	require.LessOrEqual(t, got[http2.SettingMaxHeaderListSize], uint32(40<<10))
	require.Equal(t, uint32(connWindow), 65535+receive(t, h.window))
	h.conn.Close()
	receive(t, h.gone)
}

// TestHTTP2HoldsLittle fills every window of fifty connections while no handler reads.
func TestHTTP2HoldsLittle(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	d := startServer(t, true, 100, 100)
	piece := make([]byte, maxFrame)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 50 {
		h := d.dialH2(t)
		receive(t, h.settings)
		for stream := uint32(1); stream < 10; stream += 2 {
			require.NoError(t, h.open(stream, "/wait"))
			if stream > 2*connWindow/streamWindow {
				break // there is no window left for its data
			}
			for range streamWindow / maxFrame {
				require.NoError(t, h.WriteData(stream, false, piece))
			}
		}
	}

	require.Eventually(t, func() bool { return d.running.Load() == 50*5 }, patience, time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20), "fifty connections with full windows")
	d.requireServed(t)
	close(d.gate)
}

// TestRapidReset opens and resets streams as fast as it can (CVE-2023-44487).
func TestRapidReset(t *testing.T) {
	t.Parallel()
	d := startServer(t, true, 100, 100)
	h := d.dialH2(t)
	receive(t, h.settings)
	stop := make(chan struct{})
	var attack sync.WaitGroup
	var sent atomic.Int64
	attack.Go(func() {
		for stream := uint32(1); stream < 1<<20; stream += 2 {
			select {
			case <-stop:
				return
			case <-h.gone:
				return // the server has closed the connection
			default:
			}
			if h.open(stream, "/") != nil || h.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				return
			}
			sent.Add(1)
		}
	})

	require.Eventually(t, func() bool { return sent.Load() > 100 }, patience, time.Millisecond)
	for range 10 {
		d.requireServed(t)
	}

	close(stop)
	h.conn.Close()
	attack.Wait()
	require.Greater(t, sent.Load(), int64(100))
	require.LessOrEqual(t, d.most.Load(), int64(maxStreams+1), "handlers of one connection are bounded")
}

func TestHTTP2HeaderFlood(t *testing.T) {
	t.Parallel()
	d := startServer(t, true, 100, 100)
	h := d.dialH2(t)
	receive(t, h.settings)
	require.NoError(t, h.open(1, "/", "x-a", strings.Repeat("~", 60<<10)))
	select {
	case status := <-h.status:
		require.Equal(t, "431", status)
	case <-h.gone: // it may hang up instead
	case <-time.After(patience):
		t.Fatal("no frame arrived")
	}
	d.requireServed(t)
	require.Equal(t, int64(1), d.most.Load(), "no handler saw it")
}
