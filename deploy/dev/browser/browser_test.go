package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/browser"
	"mailroom/shared/testenv"
)

// TestPage checks that the driver records what the tests of pages rely on.
func TestPage(t *testing.T) {
	t.Parallel()
	chromium, axe := testenv.Chromium(t), testenv.Axe(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/strict" {
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		}
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>A page</title><main><h1>Hello</h1>
<img src="/picture.png"><input><form action="/done"><label>Name <input name="name"></label><button>Send</button></form></main>
<script>if (location.pathname === "/loud") { alert("seen"); throw new Error("thrown") }</script>`)
	}))
	t.Cleanup(server.Close)

	p := browser.Open(t, chromium)
	p.Go(server.URL + "/loud")
	p.Says("Hello")
	require.Equal(t, "Hello", p.Text("h1"))
	require.Contains(t, p.Requests(), server.URL+"/picture.png")
	require.Eventually(t, func() bool { return len(p.Troubles()) >= 2 }, waitFor, tick, "the dialog and the exception")
	findings := p.Serious(axe)
	rules := map[string]bool{}
	for _, f := range findings {
		rules[f.Rule] = true
	}
	require.True(t, rules["image-alt"], "%v", findings)
	require.True(t, rules["label"], "%v", findings)

	p.Fill("[name=name]", "Ada")
	p.Enter()
	p.Until(`location.pathname === "/done"`)
	require.Contains(t, p.Where(), "name=Ada")

	strict := browser.Open(t, chromium)
	strict.Go(server.URL + "/strict")
	strict.Says("Hello")
	require.Eventually(t, func() bool { return len(strict.Blocked()) > 0 }, waitFor, tick)
	strict.Serious(axe) // the page's policy does not keep the checker out
}

// TestNothingIsLeftBehind checks that the folder of a Chromium is removed with its last page. Its
// other processes used to write to it after the removal.
func TestNothingIsLeftBehind(t *testing.T) { //nolint:paralleltest // it sets the environment of the whole process
	chromium := testenv.Chromium(t)
	dir, err := os.MkdirTemp("", "left") // short: Chromium puts a socket there
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	for range 2 {
		t.Run("page", func(t *testing.T) { browser.Open(t, chromium).Go("data:text/html,<p>Hello") })
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

const (
	waitFor = 10 * time.Second
	tick    = 20 * time.Millisecond
)
