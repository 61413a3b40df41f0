package mailctl_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

const (
	emailJSON = `{"event_id":"evt/1 +%","workflow_id":"wf","source":"mailparse","tenant":"default","state":"quarantined",` +
		`"reason":"infected","detail":"","approvals_missing":2,"received_at":"2026-11-01T10:00:00Z","closed_at":null,"duplicate_of":"",` +
		`"subject":"\u001b[31mred\u009b\u202e","from":"a\rb@example.com","to":["x@yourapp.example","y@yourapp.example"],"unmatched_recipients":["y@yourapp.example"],"possible_duplicate_of":"evt\u001b0","reported":{"auth":{"spf":"f\u001bail","dmarc":"pass"},"type":"email.received","timestamp":"2026-11-01T09:59:00Z"},` +
		`"attachments":[{"filename":"ev\u001bil.exe","size":3,"sha256":"abc","content_type":"x/y","detected_type":"a/b","verdict":"infected","signature":"Eicar"}],` +
		`"deliveries":[{"destination":"ticketing","state":"retrying","attempts":1,"last_error":"HTTP 500","next_attempt_at":"2026-11-01T10:05:00Z","idempotency_key":"mr_1"}],` +
		`"decisions":[{"action":"retry","actor":"olga","via":"api","note":"again\nplease","at":"2026-11-01T11:00:00Z"}]}`
	listJSON = `{"emails":[{"number":5,"event_id":"evt_2","source":"mailparse","state":"delivered","reason":"","received_at":"2000-01-01T00:00:00Z",` +
		`"from":"ada@example.com","to":["s@yourapp.example"],"to_count":3,"subject":"Hello"},` +
		`{"number":7,"event_id":"evt_1\u001b","workflow_id":"evt_1~ab","duplicate_of":"evt_1","source":"other","state":"quarantined","reason":"id_conflict","received_at":"2999-01-01T00:00:00Z",` +
		`"from":"a\u001b[2J@example.com","subject":"\u001b]0;t\u0007\u202e"}],"next_cursor":"abc"}`
	rawBytes = "{\"x\":\"\x1b[31m\"}\x00"
)

// api stands in for the operator API: it answers canned text to exact requests.
func api(t *testing.T) *httptest.Server {
	t.Helper()
	const id, number = "/api/v1/emails/evt%2F1%20+%25", "/api/v1/emails-by-number/7"
	refused := func(code string) string { return `{"ok":false,"error":"` + code + `","message":"no \u001b good"}` }
	answers := map[string]struct {
		status int
		kind   string
		body   string
	}{
		"GET /api/v1/emails ": {200, "application/json; charset=utf-8", listJSON},
		"GET /api/v1/emails?cursor=c&limit=2&q=a+b&reason=infected&source=s&state=held&tenant=t ": {200, "application/json", `{"emails":[],"next_cursor":""}`},
		"GET /api/v1/emails?limit=200&q=evt%2F1+%2B%25 ":                                          {200, "application/json", `{"emails":[` + emailJSON + `]}`},
		"GET /api/v1/emails?limit=200&q=many ":                                                    {200, "application/json", `{"emails":[]}`},
		"GET /api/v1/emails?limit=200&q=two ": {200, "application/json", `{"emails":[{"number":9,"event_id":"two","source":"b","state":"delivered","received_at":"2999-01-01T00:00:00Z"},` +
			`{"number":8,"event_id":"two","source":"a","state":"quarantined","reason":"infected","received_at":"2999-01-01T00:00:00Z"},` +
			`{"number":7,"event_id":"other","source":"a","state":"delivered","received_at":"2999-01-01T00:00:00Z"}],"next_cursor":"x"}`},
		"GET /api/v1/emails/two ":          {200, "application/json", `{"number":9,"event_id":"two"}`},
		"GET /api/v1/emails/two?source=b ": {200, "application/json", `{"number":9,"event_id":"two","source":"b"}`},
		"GET /api/v1/emails/many ":         {200, "application/json", `{"to":["a@b.example"` + strings.Repeat(`,"a@b.example"`, 21) + `]}`},
		"GET " + id + " ":                  {200, "application/json", emailJSON},
		"GET " + id + "?source=s ":         {404, "application/json", refused("not_found")},
		"GET /api/v1/emails/%2E%2E ":       {404, "application/json", refused("not_found")},
		"GET /api/v1/emails/waits ":        {200, "application/json", `{"event_id":"waits","state":"retrying","reason":"downstream_unavailable","detail":"crm refused the connection"}`},
		"POST /api/v1/emails/waits" + `/decisions {"action":"hold","note":"fine"}`:    {200, "application/json", `{"ok":true,"state":"quarantined"}`},
		"POST /api/v1/emails/waits" + `/decisions {"action":"discard","note":"fine"}`: {200, "application/json", `{"ok":true,"state":"discarded","delivered":["ticketing","er\u001bp"]}`},
		"GET /api/v1/emails/html ":                                            {200, "text/html", "<p>"},
		"GET /api/v1/emails/gateway ":                                         {502, "text/html", "<p>"},
		"GET /api/v1/emails/shapeless ":                                       {500, "application/json", "{}"},
		"GET " + id + "/raw ":                                                 {200, "application/octet-stream", rawBytes},
		"GET " + id + "/raw?part=mime&source=s ":                              {200, "application/octet-stream", "Subject: x"},
		"POST " + number + `/decisions {"action":"approve","note":"fine"}`:    {200, "application/json", `{"ok":true,"state":"delivered"}`},
		"GET " + number + "/raw ":                                             {200, "application/octet-stream", "seven"},
		"GET " + number + " ":                                                 {404, "application/json", refused("not_found")},
		"GET " + number + "/custody ":                                         {404, "application/json", refused("not_found")},
		"GET /api/v1/emails/none/raw ":                                        {404, "application/json", refused("not_found")},
		"POST " + id + `/decisions {"action":"approve","note":"fine"}`:        {200, "application/json", `{"ok":true,"state":"processing"}`},
		"POST " + id + `/decisions {"action":"approve","note":"one of two"}`:  {200, "application/json", `{"ok":true,"state":"quarantined","missing":1}`},
		"POST " + id + `/decisions {"action":"discard","note":"fine"}`:        {200, "application/json", `{"ok":true,"state":"discarded"}`},
		"POST " + id + `/decisions?source=s {"action":"retry","note":"fine"}`: {409, "application/json", refused("decision_refused")},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer, ok := answers[r.Method+" "+r.RequestURI+" "+string(body)]
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			answer.status, answer.kind, answer.body = 401, "application/json", refused("unauthorized")
		} else if !ok {
			answer.status, answer.body = 418, r.Method+" "+r.RequestURI+" "+string(body)
			t.Error("no answer for: " + answer.body)
		}
		w.Header().Set("Content-Type", answer.kind)
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestEmails(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL + "/", "MAILROOM_TOKEN": "t0ken"}
	const id = "evt/1 +%"
	const refused = "mailctl: no \\x1b good "
	for _, row := range []struct {
		args []string
		want outcome
	}{
		{[]string{"list", "--state", "held", "--reason", "infected", "--source", "s", "--tenant", "t", "-q", "a b", "--limit", "2", "--cursor", "c"},
			outcome{0, "ID  STATE  REASON  AGE  SOURCE  NUMBER  FROM  TO  SUBJECT\n", ""}},
		{[]string{"list", "-o", "json"}, outcome{0, strings.ReplaceAll(listJSON, " ", "") + "\n", ""}},
		{[]string{"get", id, "-o", "json"}, outcome{0, emailJSON + "\n", ""}},
		{[]string{"get", id, "--source", "s"}, outcome{1, "", refused + "(not_found, HTTP 404)\n"}},
		{[]string{"get", "..", "-o", "json"}, outcome{1, `{"ok":false,"error":"not_found","message":"no \u001b good"}` + "\n", refused + "(not_found, HTTP 404)\n"}},
		{[]string{"get", "html"}, outcome{1, "", "mailctl: the answer is not the operator API's (HTTP 200): check --api\n"}},
		{[]string{"get", "gateway"}, outcome{1, "", "mailctl: the answer is not the operator API's (HTTP 502): check --api\n"}},
		{[]string{"get", "shapeless"}, outcome{1, "", "mailctl: the answer is not the operator API's (HTTP 500): check --api\n"}},
		{[]string{"approve", id, "--note", "fine"}, outcome{0, "evt/1 +%\tapprove\tprocessing\n", ""}},
		{[]string{"approve", id, "--note", "one of two"}, outcome{0, "evt/1 +%\tapprove\theld\tone more person has to approve\n", ""}},
		{[]string{"discard", id, "--note", "fine", "-o", "json"}, outcome{0, `{"ok":true,"state":"discarded"}` + "\n", ""}},
		{[]string{"retry", id, "--note", "fine", "--source", "s"}, outcome{1, "", refused + "(decision_refused, HTTP 409)\n"}},
		{[]string{"raw", id}, outcome{0, rawBytes, ""}},
		{[]string{"raw", id, "--part", "mime", "--source", "s"}, outcome{0, "Subject: x", ""}},
		{[]string{"raw", id, "-o", "json"}, outcome{0, `{"content_base64":"eyJ4IjoiG1szMW0ifQA=","event_id":"evt/1 +%","part":"event","size":14}` + "\n", ""}},
		{[]string{"raw", "none"}, outcome{1, "", refused + "(not_found, HTTP 404)\n"}},
	} {
		got := call{args: append([]string{"emails"}, row.args...), env: env}.run(t)
		require.Equal(t, row.want, got, "%v", row.args)
	}
	env["MAILROOM_TOKEN"] = ""
	got := call{args: []string{"emails", "list"}, env: env}.run(t)
	require.Equal(t, outcome{1, "", refused + "(unauthorized, HTTP 401); " +
		"the token was dev-operator-token, development's own: neither --token-file nor MAILROOM_TOKEN is set, and a .env file is not read\n"}, got)

	env["OPERATOR_TOKEN"] = "hidden"
	got = call{args: []string{"emails", "list"}, env: env}.run(t)
	require.Equal(t, refused+"(unauthorized, HTTP 401); the token came from the environment variable OPERATOR_TOKEN\n", got.stderr)

	env["MAILROOM_TOKEN"] = "wrong"
	got = call{args: []string{"emails", "list"}, env: env}.run(t)
	require.Equal(t, refused+"(unauthorized, HTTP 401); the token came from the environment variable MAILROOM_TOKEN\n", got.stderr)

	other := file(t, "other", "other\n")
	got = call{args: []string{"emails", "list", "--token-file", other}, env: env}.run(t)
	require.Equal(t, refused+"(unauthorized, HTTP 401); the token came from the file "+other+" (--token-file)\n", got.stderr)
	call{args: []string{"emails", "list", "--token-file", file(t, "token", "t0ken\n")}, env: env}.done(t)
}

// A role that is not enough is a matter of the token too.
func TestForbiddenNamesTheOriginOfTheToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"ok":false,"error":"forbidden","message":"needs the role admin"}`)
	}))
	t.Cleanup(server.Close)
	got := call{args: []string{"tokens", "list"}, env: map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "hidden"}}.run(t)
	require.Equal(t, outcome{1, "", "mailctl: needs the role admin (forbidden, HTTP 403); the token came from the environment variable MAILROOM_TOKEN\n"}, got)
}

// OPERATOR_TOKEN is a name that other programs may use: no other host receives it.
func TestOperatorTokenStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	got := call{args: []string{"emails", "list"}, env: map[string]string{"MAILROOM_API": "https://mail.example", "OPERATOR_TOKEN": "hidden"}}.run(t)
	require.Equal(t, outcome{2, "", "mailctl: set MAILROOM_TOKEN or give --token-file: the host is not loopback\n"}, got)
}

// TestEmailByNumber: a number means exactly one email, whatever ids others have.
func TestEmailByNumber(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	for _, row := range []struct {
		args []string
		want outcome
	}{
		{[]string{"emails", "approve", "--number", "7", "--note", "fine"}, outcome{0, "number 7\tapprove\tdelivered\n", ""}},
		{[]string{"emails", "raw", "--number", "7"}, outcome{0, "seven", ""}},
		{[]string{"emails", "raw", "--number", "7", "-o", "json"}, outcome{0, `{"content_base64":"c2V2ZW4=","number":7,"part":"event","size":5}` + "\n", ""}},
	} {
		require.Equal(t, row.want, call{args: row.args, env: env}.run(t), "%v", row.args)
	}
	for _, args := range [][]string{{"emails", "get", "--number", "7"}, {"audit", "export", "--number", "7"}} {
		require.Equal(t, 1, call{args: args, env: env}.run(t).code, "%v", args)
	}
	for _, args := range [][]string{
		{"emails", "get"}, {"emails", "get", "evt_1", "--number", "7"}, {"emails", "get", "--number", "7", "--source", "s"},
		{"emails", "get", "--number=-7"}, {"emails", "raw"}, {"emails", "edit", "--note", "n", "--destination", "x"}, {"audit", "export"},
		{"emails", "approve", "--note", "n"}, {"emails", "approve", "--all", "--number", "7", "--note", "n"},
		{"emails", "approve", "evt_1", "--number", "7", "--note", "n"}, {"emails", "discard", "--number", "7", "--tenant", "acme", "--note", "n"},
	} {
		require.Equal(t, 2, call{args: args, env: env}.run(t).code, "%v", args)
	}
}

func TestListTable(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	lines := strings.Split(call{args: []string{"emails", "list"}, env: env}.done(t), "\n")
	require.Equal(t, []string{"ID", "STATE", "REASON", "AGE", "SOURCE", "NUMBER", "FROM", "TO", "SUBJECT"}, strings.Fields(lines[0]))
	require.Regexp(t, `^evt_2 +delivered +- +\d+d\d+h +mailparse +5 +ada@example\.com +\+2 s@yourapp\.example +Hello$`, lines[1])
	require.Regexp(t, `^evt_1~ab +held +id_conflict +0s +other +7 +a\\x1b\[2J@example\.com +- +\\x1b\]0;t\\x07\\u202e$`, lines[2])
	require.Equal(t, "More: --cursor abc", lines[4])
}

// TestListNamesTenants where a page has emails of several.
func TestListNamesTenants(t *testing.T) {
	t.Parallel()
	for second, want := range map[string]string{"acme": `(?m)SUBJECT +TENANT$\n.* default$\n.* acme$`, "default": `(?m)SUBJECT$`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"emails":[{"event_id":"a","tenant":"default"},{"event_id":"b","tenant":"`+second+`"}]}`)
		}))
		t.Cleanup(server.Close)
		require.Regexp(t, want, call{args: []string{"emails", "list"}, env: map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t"}}.done(t))
	}
}

// The STATE column printed quarantined, where every page says held.
func TestTheStateThatIsPrintedIsTheOneToAskFor(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	lines := strings.Split(call{args: []string{"emails", "list"}, env: env}.done(t), "\n")
	printed := strings.Fields(lines[2])[1]
	call{args: []string{"emails", "list", "--state", printed, "--reason", "infected", "--source", "s", "--tenant", "t", "-q", "a b",
		"--limit", "2", "--cursor", "c"}, env: env}.done(t) // api answers to no other query
	state, known := contract.StateOf(printed)
	require.True(t, known)
	require.Equal(t, contract.Quarantined, state)
}

func TestGetIsReadableAndHarmless(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	got := call{args: []string{"emails", "get", "evt/1 +%"}, env: env}.done(t)
	require.Equal(t, strings.Join([]string{
		`id              evt/1 +%`,
		`workflow        wf`,
		`source          mailparse  tenant default`,
		`state           held  infected`,
		`approvals       2 more people have to approve`,
		`maybe same as   evt\x1b0`,
		`received        2026-11-01T10:00:00Z`,
		`from            a\x0db@example.com`,
		`to              x@yourapp.example, y@yourapp.example`,
		`no rule takes   y@yourapp.example`,
		`subject         \x1b[31mred\u009b\u202e`,
		`reported        spf=f\x1bail, dmarc=pass, type=email.received, time=2026-11-01T09:59:00Z`,
		`attachment      ev\x1bil.exe  infected  Eicar  a/b  3 bytes  abc`,
		`delivery        ticketing  retrying  1 attempt  HTTP 500`,
		`  next attempt  2026-11-01T10:05:00Z`,
		`decision        2026-11-01T11:00:00Z  retry  by olga  through api  again\x0aplease`,
		``,
	}, "\n"), got)
}

// A dry run of a decision about one email once decided.
func TestDryRunOfOneDecisionSendsNone(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"} // answers to no other decision
	const id = "evt/1 +%"
	for verb, outcome := range map[string]string{
		"approve": "approve would count; one more person has to approve before it goes on",
		"discard": "discard would end it without delivering it",
		"retry":   "retry would run the step that holds it again",
	} {
		got := call{args: []string{"emails", verb, id, "--note", "only looking", "--dry-run"}, env: env}.done(t)
		require.Equal(t, "evt/1 +% is held, infected\n"+outcome+"; nothing was done\n", got)
	}
	got := call{args: []string{"emails", "discard", id, "--note", "n", "--dry-run", "-o", "json"}, env: env}.done(t)
	require.JSONEq(t, `{"dry_run":true,"event_id":"evt/1 +%","action":"discard","would":"decided","state":"quarantined","reason":"infected","detail":""}`, got)
}

// TestDecideAboutAnEmailThatWaits says what was delivered before it was discarded.
func TestDecideAboutAnEmailThatWaits(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	for verb, want := range map[string]string{
		"hold":    "waits\thold\theld\n",
		"discard": "waits\tdiscard\tdiscarded\tdelivered before to ticketing, er\\x1bp\n",
	} {
		require.Equal(t, want, call{args: []string{"emails", verb, "waits", "--note", "fine"}, env: env}.done(t))
	}

	for verb, outcome := range map[string]string{
		"discard": "discard would end it; what was delivered stays delivered",
		"retry":   "retry would make the next attempt now",
		"hold":    "hold would keep it until it is approved",
	} {
		got := call{args: []string{"emails", verb, "waits", "--note", "n", "--dry-run"}, env: env}.done(t)
		require.Equal(t, "waits waits, downstream_unavailable: crm refused the connection\n"+outcome+"; nothing was done\n", got)
	}
	got := call{args: []string{"emails", "approve", "waits", "--note", "n", "--dry-run"}, env: env}.run(t)
	require.Equal(t, outcome{code: 1, stderr: "mailctl: this email is not held: its state is retrying\n"}, got)
	got = call{args: []string{"emails", "hold", "evt/1 +%", "--note", "n", "--dry-run"}, env: env}.run(t)
	require.Equal(t, outcome{code: 1, stderr: "mailctl: this email waits for no attempt: its state is held\n"}, got)
}

// TestAmbiguousIDIsListed: the newest email of an id was shown, as if it were the only one.
func TestAmbiguousIDIsListed(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	got := call{args: []string{"emails", "get", "two"}, env: env}.run(t)
	require.Equal(t, outcome{
		code:   1,
		stdout: "ID   STATE      REASON    AGE  SOURCE  NUMBER  FROM  TO  SUBJECT\ntwo  delivered  -         0s   b       9       -     -   -\ntwo  held       infected  0s   a       8       -     -   -\n",
		stderr: "mailctl: 2 emails have the id two: name one with --source or --number\n",
	}, got)
	got = call{args: []string{"emails", "get", "two", "-o", "json"}, env: env}.run(t)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, `"number":8`)
	require.NotContains(t, got.stdout, `"event_id":"other"`)
	require.Contains(t, call{args: []string{"emails", "get", "two", "--source", "b"}, env: env}.done(t), "number    9")
}

// A filter with an id was once ignored: an email of another tenant was discarded.
func TestFilterWithAnIDIsRefused(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	for _, flag := range []string{"--reason=infected", "--tenant=acme", "--state=quarantined", "--since=1h", "--rate=3", "--detach", "--key=k"} {
		got := call{args: []string{"emails", "discard", "evt/1 +%", "--note", "fine", flag}, env: env}.run(t)
		require.Equal(t, 2, got.code, flag)
		require.Contains(t, got.stderr, "goes with --all: an id names one email", flag)
	}
}

// Ten thousand recipients were one line of 228,900 characters.
func TestManyRecipientsAreCounted(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MAILROOM_API": api(t).URL, "MAILROOM_TOKEN": "t0ken"}
	got := call{args: []string{"emails", "get", "many"}, env: env}.done(t)
	require.Contains(t, got, strings.Repeat("a@b.example, ", 19)+"a@b.example and 2 more; -o json has them all\n")
}
