package console

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// TestListsNameTenantAndSource where there are several of them.
func TestListsNameTenantAndSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tenant, source = `<td data-label="Tenant"><bdi class="name">default</bdi>`, `<td data-label="Source"><bdi class="name">mailparse</bdi>`
	for _, path := range []string{"/inbox", "/emails"} {
		page := b.get(t, ada, path).Body.String()
		require.Contains(t, page, tenant, path)
		require.Contains(t, page, source, path)

		page = b.get(t, who("local", access.Operator, "default"), path).Body.String()
		require.Contains(t, page, "evt_0001", path)
		require.NotContains(t, page, tenant, path)
		require.NotContains(t, page, source, path)
	}

	b.emails.emails[1].Source = "earlier" // one of these, which is not configured any more
	require.Contains(t, b.get(t, who("local", access.Operator, "default"), "/inbox").Body.String(), source)
}

// TestFormsOfferNames: what is known is chosen from a list, of the caller's tenants alone.
func TestFormsOfferNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/emails", "/replays/new", "/routes"} {
		page := b.get(t, ada, path+"?source=postmark&tenant=gone").Body.String()
		names := []string{"source", "tenant"}
		if path != "/routes" {
			names = append(names, "state", "reason", "destination")
			require.Contains(t, page, `<option value="postmark" selected>postmark</option>`, path)
			require.Contains(t, page, `<option value="gone" selected>gone (not configured)</option>`, path)
			require.Contains(t, page, `<option value="legacy">legacy</option>`, path)
		}
		for _, name := range names {
			require.Contains(t, page, `<select id="`+name+`" name="`+name+`">`, path)
		}
		require.Contains(t, page, `<option value="other">other</option>`, path)
		require.NotContains(t, b.get(t, who("local", access.Operator, "default"), path).Body.String(), `<option value="other"`, path)
	}
}

// everyPage is every page that GET returns to an operator.
var everyPage = []string{
	"/", "/inbox", "/inbox?reason=infected", "/emails", "/emails?q=zzz", "/emails/evt_0001?source=mailparse", "/emails/evt_0003?source=mailparse&done=approve",
	"/emails/evt_0001/raw?source=mailparse", "/emails/evt_0001/raw?source=mailparse&part=body", "/emails/evt_0001/edit?source=mailparse", "/destinations",
	"/routes", "/sources", "/sources/mailparse/failures", "/tokens", "/replays", "/replays/7", "/replays/8", "/replays/new?reason=unroutable", "/audit", "/audit?verify=yes",
	"/help/runbook", "/help/receiving", "/help/web-ui",
}

// check reads a page as a browser does and says what no page may have.
func check(t *testing.T, name, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err, name)
	ids, labels, headings := map[string]bool{}, map[string]bool{}, []int{}
	var fields []*html.Node
	landmarks := map[string]int{}
	attr := func(n *html.Node, key string) string {
		for _, a := range n.Attr {
			if a.Key == key {
				return a.Val
			}
		}
		return ""
	}
	var walk func(n *html.Node, labelled bool)
	walk = func(n *html.Node, labelled bool) {
		if n.Type == html.ElementNode {
			for _, a := range n.Attr {
				require.NotEqual(t, "style", a.Key, "%s: <%s> has a style of its own", name, n.Data)
				require.False(t, strings.HasPrefix(a.Key, "on"), "%s: <%s> has %s", name, n.Data, a.Key)
				if strings.Contains(strings.ToLower(a.Val), "javascript:") && slices.Contains([]string{"href", "src", "action", "hx-get", "formaction"}, a.Key) {
					require.Regexp(t, "^(/[a-z]|http://127)", a.Val, "%s: <%s %s>", name, n.Data, a.Key)
				}
				if a.Key == "id" {
					require.False(t, ids[a.Val], "%s: two elements have the id %s", name, a.Val)
					ids[a.Val] = true
				}
			}
			switch n.Data {
			case "style":
				require.Fail(t, "a style in the page", name)
			case "script":
				require.True(t, strings.HasPrefix(attr(n, "src"), "/static/"), "%s: a script that is not ours", name)
				require.Nil(t, n.FirstChild, "%s: a script in the page", name)
			case "img", "object", "embed", "form":
				require.Empty(t, attr(n, "src"), name)
				require.False(t, strings.Contains(attr(n, "action"), "//"), name)
			case "label":
				labels[attr(n, "for")] = true
				labelled = true
			case "input", "select", "textarea":
				if attr(n, "type") != "hidden" && !labelled {
					fields = append(fields, n)
				}
			case "h1", "h2", "h3":
				if attr(n, "id") != "confirm-title" && attr(n, "id") != "help-title" {
					headings = append(headings, int(n.Data[1]-'0'))
				}
			case "main", "header", "nav":
				landmarks[n.Data]++
			case "th":
				require.NotEmpty(t, attr(n, "scope"), "%s: a th without a scope", name)
			case "iframe":
				require.Contains(t, fmt.Sprint(n.Attr), "sandbox", name)
				require.Empty(t, attr(n, "sandbox"), name)
				require.NotEmpty(t, attr(n, "title"), name)
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, labelled)
		}
	}
	walk(root, false)
	for _, f := range fields {
		require.True(t, labels[attr(f, "id")], "%s: the field %s has no label", name, attr(f, "name"))
	}
	require.Equal(t, 1, landmarks["main"], name)
	require.NotEmpty(t, headings, name)
	require.Equal(t, 1, headings[0], "%s: the first heading is the page's", name)
	for i := 1; i < len(headings); i++ {
		require.LessOrEqual(t, headings[i], headings[i-1]+1, "%s: headings skip a level: %v", name, headings)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fakes.replayed, b.fakes.counted = ledger.Filter{Reason: contract.Unroutable}, true
	for _, path := range everyPage {
		rec := b.get(t, root, path)
		require.Equal(t, http.StatusOK, rec.Code, "%s: %s", path, rec.Body)
		require.Equal(t, access.PagePolicy, rec.Header().Get("Content-Security-Policy"), path)
		require.Equal(t, "no-store", rec.Header().Get("Cache-Control"), path)
		check(t, path, rec.Body.String())
		require.Contains(t, rec.Body.String(), `aria-current="page"`, path)
	}
}

func TestEmptyPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fakes.empty, b.fakes.counted, b.emails.emails = true, true, nil
	for path, says := range map[string]string{
		"/": "Nothing is held", "/inbox": "Nothing is held", "/inbox?reason=infected": "Nothing is held for this reason", "/emails": "No email has come yet",
		"/emails?q=zzz": "No email matches", "/destinations": "No destination serves a tenant of yours", "/routes": "No route is configured",
		"/replays": "Nothing was replayed yet", "/audit": "Nothing was decided yet", "/audit?verify=yes": "All 0 entries fit together", "/replays/7": "None yet", "/replays/8": "there is nothing to start",
	} {
		rec := b.get(t, root, path)
		require.Equal(t, http.StatusOK, rec.Code, path)
		require.Contains(t, rec.Body.String(), says, path)
		check(t, path, rec.Body.String())
	}
}

// hostile is what the author of a mail would like to have in a page.
const hostile = `"><script>alert(1)</script><img src=//evil.example/x onerror=alert(2) style="x:y">'{{.}}` + "\u202efdp.exe\u2066\x00\u2028 javascript:alert(3)"

// unescaped is what would show that a text became markup.
var unescaped = regexp.MustCompile(`<script>|<img|onerror=alert\(2\) style="|\{\{\.\}\}<|[\x{202a}-\x{202e}\x{2066}-\x{2069}\x00]`)

func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fakes.text = hostile
	for _, e := range b.emails.emails {
		e.Subject, e.From, e.To, e.MessageID, e.Detail = hostile, hostile, []string{hostile, hostile}, hostile, hostile
		e.Source, e.Tenant, e.Routes, e.DuplicateOf, e.WorkflowID = hostile, hostile, []string{hostile}, "", hostile
		e.Attachments = []mail.Attachment{{Filename: hostile, ContentType: hostile, DetectedType: hostile + "2", Signature: hostile, SHA256: strings.Repeat("a", 64), Key: "k", Verdict: mail.Infected}}
		e.Decisions = []ledger.DecisionRow{{Action: contract.Retry, Actor: hostile, Via: hostile, Note: hostile, At: at}}
		e.Deliveries = []ledger.DeliveryRow{{Destination: hostile, State: ledger.Retrying, LastError: hostile, DeliveredAt: &at}}
		b.emails.messages[e.ID] = mail.Message{Text: hostile, HTML: hostile, Headers: []mail.Header{{Name: hostile, Value: hostile}}}
	}
	b.fakes.replayed, b.fakes.counted = ledger.Filter{Query: "x"}, true
	for _, path := range everyPage {
		path = strings.ReplaceAll(path, "source=mailparse", "source=")
		rec := b.get(t, root, path)
		require.Equal(t, http.StatusOK, rec.Code, "%s: %s", path, rec.Body)
		page := rec.Body.String()
		require.Empty(t, unescaped.FindString(page), path)
		check(t, path, page)
	}
	// What a person typed comes back as text too.
	rec := b.post(t, ada, "/routes", url.Values{"recipients": {hostile}, "headers": {hostile}, "subject": {hostile}})
	require.Equal(t, http.StatusOK, rec.Code)
	require.NotContains(t, rec.Body.String(), "<script>")
	check(t, "typed", rec.Body.String())
}

func TestLinksLeadBack(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"evt_1", "a/b", "a b+c%2F?&#", "..", ".", "~", "é\"<>"} {
		b := setup(t)
		b.emails.emails[0].EventID, b.emails.emails[0].WorkflowID = id, id
		link := emailURL(b.emails.emails[0].EmailRow)
		require.True(t, strings.HasPrefix(link, "/emails/"), link)
		parsed, err := url.Parse(link)
		require.NoError(t, err)
		// A browser resolves dots before it asks.
		require.Equal(t, parsed.EscapedPath(), (&url.URL{Path: "/"}).ResolveReference(parsed).EscapedPath(), id)
		rec := b.get(t, ada, link)
		require.Equal(t, http.StatusOK, rec.Code, "%s: %s", id, link)
		require.Contains(t, rec.Body.String(), "Invoice 4711", id)
	}
}

// TestPageOfAConflict: the page of an email that came under a taken id, and a decision on
// it, were those of another email whose event id looks like its workflow.
func TestPageOfAConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mimic, conflict := *b.emails.emails[0], *b.emails.emails[0]
	conflict.ID, conflict.EventID, conflict.WorkflowID, conflict.DuplicateOf, conflict.Subject = 901, "evt_1", "evt_1~00", "evt_1", "the other body"
	mimic.ID, mimic.EventID, mimic.Subject = 902, "evt_1~00", "a mimic"
	b.emails.emails = append(b.emails.emails, &mimic, &conflict)

	link := emailURL(conflict.EmailRow)
	require.Equal(t, "/emails/evt_1~00?number=901&source=mailparse", link)
	rec := b.get(t, ada, link)
	require.Equal(t, http.StatusOK, rec.Code)
	page := rec.Body.String()
	require.Contains(t, page, "the other body")
	require.Contains(t, page, "/emails/evt_1~00/decisions?number=901")
	require.Contains(t, page, "/api/v1/emails-by-number/901/raw")

	form := b.decision("action", "discard", "seen", seen(&conflict))
	rec = b.post(t, ada, "/emails/evt_1~00/decisions?number=901&source=mailparse", form)
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	require.Equal(t, []int64{901}, b.decisions.numbers)
	require.Contains(t, rec.Header().Get("Location"), "number=901")

	for _, path := range []string{
		"/emails/evt_9?number=901", "/emails/evt_1~00?number=903", "/emails/evt_1~00?number=x", "/emails/evt_1~00?number=-901",
	} {
		require.Equal(t, http.StatusNotFound, b.get(t, ada, path).Code, path)
	}
	require.Equal(t, http.StatusNotFound, b.get(t, olga, link).Code, "a number opens no other tenant")
}

// TestIDThatAnotherTenantUses: the newest email of any tenant was taken, and then not
// shown, although the caller's own tenant has one of that id.
func TestIDThatAnotherTenantUses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := *b.emails.emails[0]
	mine.ID, mine.Tenant, mine.Source, mine.Subject = 901, "other", "postmark", "for the other tenant"
	b.emails.emails = append(b.emails.emails, &mine)
	rec := b.get(t, olga, "/emails/"+mine.EventID)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), "for the other tenant")
}

// TestPageOfAnEmailThatCannotBeStarted offers what can be decided, and no more.
func TestPageOfAnEmailThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.emails.emails[0]
	e.State, e.Reason, e.Detail, e.StartRefused = contract.Quarantined, contract.Internal, "its workflow ID is taken", true
	page := b.get(t, ada, emailURL(e.EmailRow)).Body.String()
	require.Contains(t, page, "Temporal cannot start its workflow")
	require.Contains(t, page, "its workflow ID is taken")
	require.Contains(t, page, `value="retry"`)
	require.Contains(t, page, `value="discard"`)
	require.NotContains(t, page, `value="approve"`)
	require.NotContains(t, page, "/edit?")
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get(t, vera, "/emails/evt_0001?source=mailparse").Body.String()
	require.NotContains(t, page, "/decisions", "a viewer decides nothing")
	require.NotContains(t, page, "/raw", "a viewer reads no raw mail")
	require.Contains(t, page, "<dt>No rule takes</dt><dd><bdi>sales‹U&#43;202E›@yourapp.example</bdi>")
	require.Contains(t, page, "/attachments/"+strings.Repeat("a", 64))
	require.NotContains(t, page, "/attachments/"+strings.Repeat("b", 64), "a viewer gets nothing from quarantine")
	for _, path := range []string{"/replays", "/audit", "/emails/evt_0001/raw", "/emails/evt_0001/edit", "/replays/7"} {
		require.Equal(t, http.StatusForbidden, b.get(t, vera, path).Code, path)
	}
	require.Equal(t, http.StatusForbidden, b.post(t, vera, "/emails/evt_0001/decisions", url.Values{"action": {"approve"}}).Code)
	require.Contains(t, b.get(t, vera, "/").Body.String(),
		`<bdi>legacy is down: the destination answered 503.</bdi> <a href="/help/runbook#downstream_unavailable">What to do</a>`)
	destinations := b.get(t, vera, "/destinations").Body.String()
	require.NotContains(t, destinations, "/pause")
	require.Contains(t, destinations, "It answered HTTP 410 (gone). Nothing is sent there until")
	require.Contains(t, destinations, "ago: <bdi>the destination answered 503</bdi>")
	require.Contains(t, destinations, ">"+at.Add(30*time.Second).UTC().Format("2006-01-02 15:04:05 UTC")+"</time>")
	require.Contains(t, destinations, "none while it is paused")

	require.Equal(t, http.StatusForbidden, b.get(t, ada, "/audit").Code, "the chain is for admins, as in the API")
	require.NotContains(t, b.get(t, ada, "/").Body.String(), `href="/audit"`)

	// An operator of another tenant.
	for _, under := range []string{"", "/raw", "/html", "/edit"} {
		require.Equal(t, http.StatusNotFound, b.get(t, olga, "/emails/evt_0001"+under+"?source=mailparse").Code, under)
	}
	require.Equal(t, http.StatusNotFound, b.post(t, olga, "/emails/evt_0001/decisions", url.Values{"action": {"approve"}, "note": {"x"}}).Code)
	require.NotContains(t, b.get(t, olga, "/emails").Body.String(), "evt_0001", "whatever the ledger returns")
	require.Equal(t, []string{"other"}, b.emails.filter.Tenants)
	require.Equal(t, http.StatusNotFound, b.get(t, olga, "/replays/7").Code)
	require.Equal(t, http.StatusForbidden, b.post(t, olga, "/destinations/crm/pause", url.Values{"note": {"x"}}).Code)
	mixed := access.Identity{Name: "max", Roles: map[string]access.Role{"default": access.Viewer, "other": access.Operator}}
	require.Equal(t, http.StatusForbidden, b.post(t, mixed, "/emails/evt_0001/decisions", url.Values{"action": {"approve"}, "note": {"x"}}).Code)
	require.Equal(t, http.StatusForbidden, b.get(t, mixed, "/emails/evt_0001/raw").Code)
	require.Empty(t, b.decisions.seen())
	require.Empty(t, b.fakes.paused)
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rec := b.get(t, ada, "/emails/nothing")
	require.Equal(t, http.StatusNotFound, rec.Code)
	require.Contains(t, rec.Body.String(), "there is no email with this id")
	check(t, "404", rec.Body.String())

	b.emails.err = fault.New(fault.StorageUnavailable, "the database does not answer")
	for _, path := range []string{"/emails", "/inbox", "/emails/evt_0001"} {
		rec = b.get(t, ada, path)
		require.Equal(t, http.StatusServiceUnavailable, rec.Code, path)
		require.Contains(t, rec.Body.String(), "the database does not answer", path)
		check(t, path, rec.Body.String())
	}
	require.Equal(t, http.StatusBadRequest, b.get(t, ada, "/inbox?reason=nonsense").Code)
	b.emails.err = nil
	rec = b.get(t, ada, "/emails?since=yesterday")
	require.Equal(t, http.StatusBadRequest, rec.Code)
	require.Contains(t, rec.Body.String(), "2026-01-31T13:45")
	require.Contains(t, rec.Body.String(), `value="yesterday"`, "what was typed stays")
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, p := range map[string]access.LoginPage{
		"both": {Next: hostile, Token: true, Provider: true, Problem: hostile}, "none": {}, "token": {Token: true, Next: "/inbox"}, "provider": {Provider: true, Next: "/inbox"},
	} {
		var page strings.Builder
		require.NoError(t, b.console.Login(&page, p))
		check(t, name, page.String())
		require.Equal(t, p.Token, strings.Contains(page.String(), `name="token"`), name)
		require.Equal(t, p.Provider, strings.Contains(page.String(), `href="/oidc/start?next=`), name)
		require.NotContains(t, page.String(), "/logout", name)
	}
}

// Operators see that mail is hardly scanned.
func TestEveryPageWarns(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config, _ *Deps) { c.Warning = "The built-in scanner is configured." })
	b.fakes.replayed, b.fakes.counted = ledger.Filter{Reason: contract.Unroutable}, true
	for _, path := range everyPage {
		rec := b.get(t, root, path)
		require.Contains(t, rec.Body.String(), `role="note">The built-in scanner is configured.</p>`, path)
		check(t, path, rec.Body.String())
	}
	require.NotContains(t, setup(t).get(t, root, "/").Body.String(), `role="note"`)
}

// A list has 20 recipients of an email at most, and once said that there are no more.
func TestListsCountAllRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Contains(t, b.get(t, ada, "/emails").Body.String(), `<span class="muted">+1</span>`)

	b.emails.emails[0].ToCount = 10_000
	require.Contains(t, b.get(t, ada, "/emails").Body.String(), "<span class=\"muted\">+9\u202f999</span>")
}

func TestThousandAttachments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.emails.emails[0]
	e.Attachments = nil
	for i := range 1000 {
		e.Attachments = append(e.Attachments, mail.Attachment{Filename: fmt.Sprintf("%d.txt", i), SHA256: fmt.Sprintf("%064d", i), Key: "k", Verdict: mail.Clean, Size: 1})
	}
	start := time.Now()
	rec := b.get(t, ada, "/emails/evt_0001")
	require.Equal(t, http.StatusOK, rec.Code)
	require.Less(t, time.Since(start), 10*time.Second)
	require.Contains(t, rec.Body.String(), "980 more attachments")
	check(t, "1,000 attachments", rec.Body.String())
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, ui := range []string{"javascript:alert(1)", "//x", "http://", "ftp://x"} {
		_, err := New(Config{TemporalUI: ui}, b.deps)
		require.ErrorContains(t, err, "Temporal Web UI", ui)
	}
	_, err := New(Config{}, Deps{})
	require.ErrorContains(t, err, "missing")
	require.Contains(t, b.get(t, ada, "/emails/evt_0001").Body.String(), `href="http://127.0.0.1:8233/namespaces/default/workflows/evt_0001"`)
}
