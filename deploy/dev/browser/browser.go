// Package browser drives Chromium as an operator would use it, for tests of pages.
//
// Invariants: each Page is a browser session of its own, without the cookies of another; it
// records every request, exception and dialog of its pages, so that a test can require that
// there was none; every wait for a page ends after 30 s.
//
// It is used by the tests in deploy/dev/e2e; for an example, read console_test.go there.
package browser

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// patience is how long a page may take to reach the state that a test waits for.
const patience = 30 * time.Second

// Page is one window of a Chromium, with cookies of its own.
type Page struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in its context
	records
}

// records is what a tab has done so far. It is safe for concurrent use.
type records struct {
	mu       sync.Mutex
	requests []string
	troubles []string
	blocked  []string
}

// shared is the Chromium of this process. Starting one takes seconds of processor time, a
// window in it almost none.
var shared struct {
	mu    sync.Mutex
	pages int
	ctx   context.Context //nolint:containedctx // chromedp keeps the browser in its context
	stop  func()
}

// Open returns a window with its own cookies in the Chromium at path, which is started
// headless for the first page and ends with the last. The window ends with the test.
func Open(t testing.TB, path string) *Page {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.stop == nil {
		start(t, path)
	}
	shared.pages++
	t.Cleanup(closePage)

	whole := cdp.WithExecutor(shared.ctx, chromedp.FromContext(shared.ctx).Browser) // not one of its tabs
	session, err := target.CreateBrowserContext().Do(whole)
	require.NoError(t, err)
	t.Cleanup(func() { _ = target.DisposeBrowserContext(session).Do(whole) })
	// Without a window of its own a tab of a new session has none to be in.
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(session).WithNewWindow(true).Do(whole)
	require.NoError(t, err)

	ctx, end := chromedp.NewContext(shared.ctx, chromedp.WithTargetID(id))
	t.Cleanup(end)
	p := &Page{t: t, ctx: ctx}
	require.NoError(t, chromedp.Run(ctx), "open a window")
	chromedp.ListenTarget(ctx, p.handle)
	p.run(network.Enable(), cdplog.Enable(), runtime.Enable(), page.Enable())
	return p
}

// Hold keeps the Chromium, once it has been started, until release is called, so that it is
// not started again for each test that comes after the last page of another.
func Hold() (release func()) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.pages++
	return closePage
}

// start starts the Chromium; shared is locked.
func start(t testing.TB, path string) {
	t.Helper()
	profile, err := os.MkdirTemp("", "mailroom-browser-")
	require.NoError(t, err)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// A renderer in reserve for each window costs more than it saves in windows of one page.
		chromedp.Flag("disable-features", "SpareRendererForSitePerProcess,site-per-process,Translate,BlinkGenPropertyTrees"),
		chromedp.Flag("force-prefers-reduced-motion", true), chromedp.WindowSize(1280, 900),
		chromedp.WSURLReadTimeout(time.Minute), chromedp.Env("TMPDIR="+profile))

	var first *exec.Cmd
	options = append(options, chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		first = cmd
	}))

	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator, chromedp.WithErrorf(report))
	shared.ctx, shared.stop = ctx, func() {
		end()
		stop() // waits for the first process
		remove(profile, first)
		shared.stop = nil
	}
	if err := chromedp.Run(ctx); err != nil {
		shared.stop()
		t.Fatalf("start %s: %v", path, err)
	}
}

// remove ends the processes that the first one has left running, which still write to profile,
// and removes that folder.
func remove(profile string, first *exec.Cmd) {
	if first != nil && first.Process != nil {
		_ = syscall.Kill(-first.Process.Pid, syscall.SIGKILL)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 { // five seconds
		if os.RemoveAll(profile) == nil {
			return
		}
		<-tick.C
	}
	log.Printf("ERROR: %s is still written to", profile)
}

// closePage ends the Chromium with its last page or hold.
func closePage() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.pages--; shared.pages == 0 && shared.stop != nil {
		shared.stop()
	}
}

// report logs the errors of chromedp, except those about events that it does not know because
// Chromium is newer.
func report(format string, args ...any) {
	if !strings.HasPrefix(format, "unhandled node event") {
		log.Printf("ERROR: "+format, args...)
	}
}

// handle records what the page does and dismisses dialogs, which stop it.
func (p *Page) handle(event any) {
	p.record(event)
	if _, dialog := event.(*page.EventJavascriptDialogOpening); dialog {
		go func() { _ = chromedp.Run(p.ctx, page.HandleJavaScriptDialog(false)) }()
	}
}

// record records requests, exceptions, dialogs and errors.
func (r *records) record(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()

	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		r.requests = append(r.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		r.troubles = append(r.troubles, "exception: "+e.ExceptionDetails.Error())
	case *page.EventJavascriptDialogOpening:
		r.troubles = append(r.troubles, "dialog: "+e.Message)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level != cdplog.LevelError {
			return
		}
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			r.blocked = append(r.blocked, e.Entry.Text)
			return
		}
		r.troubles = append(r.troubles, "log: "+e.Entry.Text+" "+e.Entry.URL)
	}
}

// Requests returns the URLs that the tab has requested so far.
func (r *records) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Troubles returns exceptions, dialogs and errors in the browser's log so far.
func (r *records) Troubles() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.troubles)
}

// Blocked returns what the page's own Content-Security-Policy has refused so far.
func (r *records) Blocked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.blocked)
}

func (p *Page) run(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.fail("%v", err)
	}
}

// fail ends the test, and prints the URL and text of the page and what it has recorded.
func (p *Page) fail(format string, args ...any) {
	p.t.Helper()
	var where, text string
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Location(&where), chromedp.Evaluate(`document.body?.innerText ?? ""`, &text))
	if dir := os.Getenv("MAILROOM_TEST_SHOTS"); dir != "" {
		p.Shot(fmt.Sprintf("%s/%s.png", dir, strings.NewReplacer("/", "_", " ", "_").Replace(p.t.Name())))
	}
	p.t.Fatalf("%s\non %s\n%.4000s\ntroubles: %v\nblocked: %v", fmt.Sprintf(format, args...), where, text, p.Troubles(), p.Blocked())
}

// Go loads a page and waits until it has loaded.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.run(chromedp.Navigate(url))
}

// Click clicks the first element of a selector once it is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		err := chromedp.Run(ctx, chromedp.ScrollIntoView(selector, chromedp.ByQuery), chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
		if err == nil {
			return
		}
		// A page that refreshes itself takes elements away between the look and the click.
		if ctx.Err() != nil || !strings.Contains(err.Error(), "node") {
			p.fail("click %s: %v", selector, err)
		}
	}
}

// Fill replaces the text of a field.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Visible(selector)
	Eval[bool](p, fmt.Sprintf("(e => { e.focus(); e.select(); return true })(document.querySelector(%q))", selector))
	if text == "" {
		p.Press(kb.Delete)
		return
	}
	p.run(chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// Press types keys into the focused element; chromedp's package kb names those without a
// letter.
func (p *Page) Press(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys))
}

// Enter presses the Enter key.
func (p *Page) Enter() {
	p.t.Helper()
	p.Press(kb.Enter)
}

// Visible waits until an element exists and is visible.
func (p *Page) Visible(selector string) {
	p.t.Helper()
	p.run(chromedp.WaitVisible(selector, chromedp.ByQuery))
}

// Says waits until the page shows a text somewhere.
func (p *Page) Says(text string) {
	p.t.Helper()
	p.Until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// Until waits until a JavaScript expression is true; the page may navigate meanwhile.
func (p *Page) Until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &yes)); err == nil && yes {
			return
		}
		select {
		case <-ctx.Done():
			p.fail("the page does not come to: %s", expression)
		case <-tick.C:
		}
	}
}

// Eval returns the value of a JavaScript expression.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	var out T
	p.run(chromedp.Evaluate(expression, &out))
	return out
}

// Text returns the text that an element shows.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// Count returns the number of elements that a selector finds.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	return Eval[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// Where returns the URL of the page.
func (p *Page) Where() string {
	p.t.Helper()
	return Eval[string](p, "location.href")
}

// Size sets the width and height of the view in CSS pixels; below 500 it is a phone.
func (p *Page) Size(width, height int64) {
	p.t.Helper()
	var options []chromedp.EmulateViewportOption
	if width < 500 {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.run(chromedp.EmulateViewport(width, height, options...))
}

// Scheme prefers the colour scheme light or dark.
func (p *Page) Scheme(name string) {
	p.t.Helper()
	p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}))
}

// NoScripts stops pages from running their scripts from now on. The expressions of a test still
// run.
func (p *Page) NoScripts() {
	p.t.Helper()
	p.run(emulation.SetScriptExecutionDisabled(true))
}

// Shot writes a picture of the view as PNG.
func (p *Page) Shot(path string) {
	p.t.Helper()
	var png []byte
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Run(ctx, chromedp.CaptureScreenshot(&png)))
	require.NoError(p.t, os.WriteFile(path, png, 0o600))
}
