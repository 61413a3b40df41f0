package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"mailroom/shared/signing"
	"mailroom/shared/testenv"
)

const body = `{"schema":"mailroom.email.v1","event_id":"evt-1"}`

// bench is a running sink.
type bench struct {
	t    *testing.T
	url  string
	file *bytes.Buffer
	sink *Sink
}

func setup(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{t: t, file: &bytes.Buffer{}}
	if c.Keys == 0 {
		c.Keys = 1000
	}
	c.File = b.file
	b.sink = New(c)
	server := httptest.NewServer(b.sink)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// post delivers body under key.
func (b *bench) post(path, key string, change ...func(http.Header)) (*http.Response, ok, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	req.GetBody = nil // no repeats of the transport's own
	req.Header.Set("Idempotency-Key", key)
	for _, f := range change {
		f(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, ok{}, err
	}
	defer resp.Body.Close()
	var got ok
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&got))
	return resp, got, nil
}

func (b *bench) call(method, path, content string, into any) int {
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(content))
	require.NoError(b.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	if into != nil {
		require.NoError(b.t, json.NewDecoder(resp.Body).Decode(into))
	}
	return resp.StatusCode
}

func (b *bench) script(format string, args ...any) {
	require.Equal(b.t, 200, b.call(http.MethodPost, "/control", fmt.Sprintf(format, args...), nil))
}

func (b *bench) report(query string) Report {
	var r Report
	require.Equal(b.t, 200, b.call(http.MethodGet, "/effects"+query, "", &r))
	return r
}

func TestKeyHasOneEffect(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Bodies: true})
	require.Equal(t, 200, b.call(http.MethodGet, "/healthz", "", nil))
	for i := range 3 {
		resp, got, err := b.post("/tickets", "k1")
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, ok{OK: true, Repeat: i > 0}, got)
	}
	_, _, err := b.post("/other", "k1") // a key belongs to its path
	require.NoError(t, err)

	r := b.report("")
	require.Equal(t, Counts{Received: 4, Effects: 2, Repeats: 2}, r.Counts)
	require.Equal(t, Counts{Received: 3, Effects: 1, Repeats: 2}, r.Paths["/tickets"])
	require.Len(t, r.List, 2)
	one := b.report("?path=/tickets&key=k1&event_id=evt-1").List
	require.Len(t, one, 1)
	require.Equal(t, 2, one[0].Repeats)
	require.JSONEq(t, body, string(one[0].Body))
	require.Empty(t, b.report("?event_id=evt-2").List)
	require.Empty(t, b.report("?limit=0").List)

	lines := bufio.NewScanner(b.file)
	var repeats []bool
	for lines.Scan() {
		var a Arrival
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		require.Equal(t, "evt-1", a.EventID)
		require.JSONEq(t, body, string(a.Body))
		repeats = append(repeats, a.Repeat)
	}
	require.Equal(t, []bool{false, true, true, false}, repeats)

	require.Equal(t, 200, b.call(http.MethodDelete, "/effects", "", nil))
	require.Zero(t, b.report("").Counts)
}

func TestManyAtOnceHaveOneEffect(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, _, _ = b.post("/tickets", "k1") })
	}
	all.Wait()
	require.Equal(t, Counts{Received: 50, Effects: 1, Repeats: 49}, b.report("").Counts)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	b.script(`{"path":"/a","status":503,"retry_after":"7","count":2}`)
	b.script(`{"path":"/a","drop":"after","count":1}`)
	b.script(`{"path":"/a","drop":"before","count":1}`)
	b.script(`{"path":"/a","status":201,"delay":"1ms","count":1}`)
	for range 2 {
		resp, got, err := b.post("/a", "k1")
		require.NoError(t, err)
		require.Equal(t, 503, resp.StatusCode)
		require.Equal(t, "7", resp.Header.Get("Retry-After"))
		require.False(t, got.OK)
	}
	require.Zero(t, b.report("").Effects)
	_, _, err := b.post("/a", "k1")
	require.Error(t, err)
	require.Equal(t, 1, b.report("").Effects, "the effect is there, the answer was lost")
	_, _, err = b.post("/a", "k2")
	require.Error(t, err)
	require.Equal(t, 1, b.report("").Effects)
	resp, got, err := b.post("/a", "k1")
	require.NoError(t, err)
	require.Equal(t, 201, resp.StatusCode)
	require.True(t, got.Repeat)
	require.Equal(t, Counts{Received: 5, Effects: 1, Repeats: 1, Refused: 3}, b.report("").Counts)

	b.script(`{"status":500}`)
	for range 3 {
		resp, _, err := b.post("/b", "k3")
		require.NoError(t, err)
		require.Equal(t, 500, resp.StatusCode)
	}
	var list []Script
	require.Equal(t, 200, b.call(http.MethodGet, "/control", "", &list))
	require.Len(t, list, 1)
	require.Equal(t, 200, b.call(http.MethodDelete, "/control", "", nil))
	resp, _, err = b.post("/b", "k3")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
}

func TestHangEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	b.script(`{"path":"/a","hang":true,"count":1}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/a", strings.NewReader(body))
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	testenv.Eventually(t, func() bool { return b.report("").Refused == 1 }, 30*time.Second, 10*time.Millisecond)
}

func TestBadScriptsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	for _, content := range []string{
		`{`, `{"unknown":1}`, `{"path":"a"}`, `{"status":99}`, `{"drop":"now"}`, `{"count":-1}`, `{"delay":"soon"}`, `{"delay":"-1s"}`,
	} {
		require.Equal(t, 400, b.call(http.MethodPost, "/control", content, nil), content)
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"plain", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"} {
		b := setup(t, Config{Secret: secret})
		sign := func(h http.Header) {
			standard, err := standardwebhooks.NewWebhook(secret)
			if secret == "plain" {
				standard, err = standardwebhooks.NewWebhookRaw([]byte(secret))
			}
			require.NoError(t, err)
			now := time.Now()
			signature, err := standard.Sign("k1", now, []byte(body))
			require.NoError(t, err)
			timestamp := fmt.Sprint(now.Unix())
			h.Set("webhook-id", "k1")
			h.Set("webhook-timestamp", timestamp)
			h.Set("webhook-signature", signature)
			h.Set(signing.TimestampHeader, timestamp)
			h.Set(signing.SignatureHeader, signing.TimestampHMAC(secret, timestamp, []byte(body)))
		}
		resp, _, err := b.post("/a", "k1", sign)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		for _, header := range []string{"webhook-signature", signing.SignatureHeader} {
			resp, _, err = b.post("/a", "k2", sign, func(h http.Header) { h.Del(header) })
			require.NoError(t, err)
			require.Equal(t, 401, resp.StatusCode)
		}
		resp, _, err = b.post("/a", "k2", sign, func(h http.Header) { h.Set(signing.SignatureHeader, "00") })
		require.NoError(t, err)
		require.Equal(t, 401, resp.StatusCode)
		require.Equal(t, Counts{Received: 4, Effects: 1, Refused: 3}, b.report("").Counts)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(Config{Keys: 1500})
	for i := range 5000 {
		l.record(Arrival{Path: "/a", Key: fmt.Sprint(i), Effect: true}, []byte(`{}`))
	}
	require.Len(t, l.byKey, 1500)
	require.Len(t, l.order, 1500)
	bodies := 0
	for _, e := range l.order {
		if e.Body != nil {
			bodies++
		}
	}
	require.Equal(t, keptBodies, bodies)
	require.Equal(t, 5000, l.report("", "", "", 1).Effects)
}

func TestServeStops(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, New(Config{Keys: 1})) }()
	resp, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	cancel()
	require.NoError(t, <-done)
}

func TestRunNamesTheMistake(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{"SINK_KEYS": "many", "SINK_FILE": "/no/such/folder/file", "SINK_LISTEN": "nowhere:x"} {
		err := run(t.Context(), func(name string) string {
			if name == key {
				return value
			}
			return map[string]string{"SINK_LISTEN": "127.0.0.1:0"}[name]
		})
		require.Error(t, err, key)
	}
}
