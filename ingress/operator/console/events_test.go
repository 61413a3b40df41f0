package console

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tokens is what changes in a test.
type tokens struct {
	mu     sync.Mutex
	topics map[string]string
	emails map[int64]string
	asked  [][]int64
	err    error
}

func (f *tokens) Pulse(_ context.Context, emails []int64) (map[string]string, map[int64]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, emails)
	topics, watched := map[string]string{}, map[int64]string{}
	for k, v := range f.topics {
		topics[k] = v
	}
	for _, id := range emails {
		watched[id] = f.emails[id]
	}
	return topics, watched, f.err
}

func (f *tokens) set(topic, token string, id int64, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics[topic] = token
	f.emails[id] = state
}

// live opens a page's connection and returns its lines.
func live(t *testing.T, handler http.Handler, path string) (lines chan string, stop func()) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines = make(chan string, 100)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	return lines, cancel
}

// until waits for a line.
func until(t *testing.T, lines chan string, want string) {
	t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			require.True(t, ok, "the stream ended before %q", want)
			if line == want {
				return
			}
		case <-end:
			require.Fail(t, "no such line", want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	changes := &tokens{topics: map[string]string{"emails": "1", "held": "1"}, emails: map[int64]string{1: "a", 2: "a"}}
	b := setup(t, func(_ *Config, d *Deps) { d.Changes = changes })
	b.console.live.every = 5 * time.Millisecond
	require.Contains(t, b.get(t, ada, "/emails/evt_0001?source=mailparse").Body.String(), `data-events="/events?`)

	lines, stop := live(t, b.handler(ada), "/events?id=evt_0001&source=mailparse")
	until(t, lines, "data: everything")
	waitAsked := func(n int) {
		require.Eventually(t, func() bool { changes.mu.Lock(); defer changes.mu.Unlock(); return len(changes.asked) > n }, 20*time.Second, time.Millisecond)
	}
	waitAsked(2)
	changes.set("held", "2", 2, "b")
	until(t, lines, "data: held")
	changes.set("held", "2", 1, "b")
	until(t, lines, "data: email")

	stop()
	require.Eventually(t, func() bool {
		b.console.live.mu.Lock()
		defer b.console.live.mu.Unlock()
		return !b.console.live.running && len(b.console.live.listeners) == 0
	}, 20*time.Second, time.Millisecond, "no page is open: nothing is asked")

	// Mail of another tenant is not watched.
	require.Equal(t, http.StatusNotFound, b.get(t, olga, "/events?id=evt_0001&source=mailparse").Code)
}

// TestAChangeRightAfterAPageOpenedWasLost: a page was told to load once more before run had read
// the tokens from which its changes are counted. What changed between the two was never shown.
func TestAChangeRightAfterAPageOpenedWasLost(t *testing.T) {
	t.Parallel()
	changes := &tokens{topics: map[string]string{"emails": "1"}, emails: map[int64]string{7: "processing"}}
	h := newHub(changes, slog.New(slog.DiscardHandler))
	h.every = time.Hour
	defer h.close()

	woken := func(l *listener) [][]int64 {
		select {
		case <-l.wake:
		case <-time.After(20 * time.Second):
			require.Fail(t, "the page is not told to load once more")
		}
		changes.mu.Lock()
		defer changes.mu.Unlock()
		return slices.Clone(changes.asked)
	}
	other, _ := h.join("bob", 0)
	woken(other)
	page, _ := h.join("ada", 7)
	require.Contains(t, woken(page), []int64{7})
	require.Equal(t, []string{everything}, page.takeTopics())

	changes.set("emails", "1", 7, "delivered")
	h.nudge()
	woken(page)
	require.Equal(t, []string{"email"}, page.takeTopics())
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(&tokens{topics: map[string]string{}}, slog.New(slog.DiscardHandler))
	defer h.close()
	for range maxPerPerson {
		_, ok := h.join("ada", 0)
		require.True(t, ok)
	}
	_, ok := h.join("ada", 0)
	require.False(t, ok, "one person holds not everything")
	for i := range maxListeners {
		_, ok = h.join(strings.Repeat("x", i), 0)
	}
	require.False(t, ok)
	h.close()
	_, ok = h.join("vera", 0)
	require.False(t, ok, "no page joins once it is closed")
}

func TestEventsSurviveTheDatabase(t *testing.T) {
	t.Parallel()
	changes := &tokens{topics: map[string]string{"emails": "1"}, emails: map[int64]string{}, err: errors.New("away")}
	b := setup(t, func(_ *Config, d *Deps) { d.Changes = changes })
	b.console.live.every = time.Millisecond
	lines, _ := live(t, b.handler(ada), "/events")
	failed := func() bool { changes.mu.Lock(); defer changes.mu.Unlock(); return len(changes.asked) > 2 }
	require.Eventually(t, failed, 20*time.Second, time.Millisecond)
	changes.mu.Lock()
	changes.err = nil
	changes.mu.Unlock()
	until(t, lines, "data: everything")
	changes.set("emails", "2", 0, "")
	until(t, lines, "data: emails")
	b.console.Close()
	_, open := <-lines
	for open {
		_, open = <-lines
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content, err := files.ReadFile("static/htmx.min.js")
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	require.Equal(t, htmxSHA256, hex.EncodeToString(sum[:]), "htmx is as it was published")
	for name, contentType := range map[string]string{"htmx.min.js": "text/javascript", "console.js": "text/javascript", "theme.js": "text/javascript",
		"console.css": "text/css", "icon.svg": "image/svg+xml", "htmx.LICENSE": "text/plain"} {
		path, err := b.console.assets.url(name)
		require.NoError(t, err)
		rec := b.get(t, unknown, path)
		require.Equal(t, http.StatusOK, rec.Code, path)
		require.Contains(t, rec.Header().Get("Content-Type"), contentType)
		require.Contains(t, rec.Header().Get("Cache-Control"), "immutable")
	}
	_, err = b.console.assets.url("none")
	require.Error(t, err)
	require.NotEqual(t, http.StatusOK, b.get(t, unknown, "/static/..%2fconsole.go").Code)
}

func TestShow(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain é 漢 👩‍💻":         "plain é 漢 👩‍💻",
		"a\u202eb\u2066":        "a‹U+202E›b‹U+2066›",
		"a\nb\tc\x7f":           "a‹U+000A›b‹U+0009›c‹U+007F›",
		"\xff":                  "‹FF›",
		"a\u00a0b\ufeff":        "a\u00a0b‹U+FEFF›",
		"a\u2028b\u200fc\u061c": "a‹U+2028›b‹U+200F›c‹U+061C›",
	} {
		require.Equal(t, want, show(in), "%q", in)
	}
	require.Equal(t, "a\nb\tc\nd‹U+2028›", showLines("a\r\nb\tc\rd\u2028"))
	require.Equal(t, "éa…", cut(2, "éab"))
	require.Equal(t, "éa", cut(2, "éa"))
	require.Equal(t, "1\u202f234\u202f567", count(1234567))
	require.Equal(t, "-123", count(-123))
	require.Equal(t, "MIME malformed", words("mime_malformed"))
	require.Equal(t, "ID conflict", words("id_conflict"))
	for in, want := range map[time.Duration]string{-1: "0 µs", 1500 * time.Microsecond: "1 ms", 1500 * time.Millisecond: "1.5 s", 61 * time.Second: "1 min", 47 * time.Hour: "47 h", 72 * time.Hour: "3 d"} {
		require.Equal(t, want, span(in))
	}
}
