package mailctl_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	destinationsJSON = `{"destinations":[` +
		`{"name":"crm","url":"crm.example","breaker":"half_open","in_flight":3,"max_in_flight":32,"backlog":{"retrying":4,"held":1,"oldest_received_at":"2000-01-01T00:00:00Z"},` +
		`"paused":{"by":"olga","note":"they\nmove","at":"2026-11-02T10:00:00Z"},"gone_until":null,"next_probe_at":"2026-11-02T10:01:00Z","last_success_at":"2026-11-02T09:58:00Z","last_failure_at":"2026-11-02T09:59:00Z","last_failure":"HTTP 500","workers":[]},` +
		`{"name":"gone","url":"","breaker":"closed","in_flight":0,"max_in_flight":4,"backlog":{"retrying":0,"held":0,"oldest_received_at":null},"paused":null,"gone_until":"2999-01-01T00:00:00Z","last_success_at":null,"last_failure_at":null,"last_failure":"","workers":[]},` +
		`{"name":"new","url":"new.example","breaker":"","in_flight":0,"max_in_flight":4,"backlog":{"retrying":0,"held":0,"oldest_received_at":null},"paused":null,"gone_until":null,"last_success_at":null,"last_failure_at":null,"last_failure":"","workers":[]}]}`
	routesJSON = `{"version":"abc","routes":[{"name":"urgent","when":{"sender":"*@x","recipient":"a@*"},"header":{"X-Priority":"1"},"to":["crm","b"],"hold":true},` +
		`{"name":"all","when":{},"header":{},"to":["crm"],"hold":false}]}`
	testJSON = `{"tenant":"t","source":"s","routes":["urgent"],"destinations":["crm","b"],"unmatched_recipients":["d@e"],"holds":[{"step":"route","reason":"policy_hold","detail":"urgent"}],` +
		`"rules":[{"name":"urgent","matched":true,"why":"every condition holds"},{"name":"all","matched":false,"why":"the sender is not *@\u001b"}]}`
	nowhereJSON = `{"tenant":"t","source":"s","routes":[],"destinations":[],"holds":[],"rules":[]}`
)

// operationsAPI answers canned text to exact requests.
func operationsAPI(t *testing.T, answers map[string]string) map[string]string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked := strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[asked]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"ok":false,"error":"not_found","message":"nothing"}`
			t.Error("no answer for: " + asked)
		}
		if r.Method == http.MethodPost && r.Header.Get("X-Mailroom-Client") != "mailctl" {
			t.Error("the API is not told who asks")
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t0ken"}
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	env := operationsAPI(t, map[string]string{
		"GET /api/v1/destinations": destinationsJSON,
		`POST /api/v1/destinations/a%20%2F%2E%2E/pause {"note":"they move"}`: `{"ok":true,"destination":"a /..","paused":true}`,
		`POST /api/v1/destinations/crm/resume {"note":"done"}`:               `{"ok":true,"destination":"crm","paused":false}`,
	})
	lines := strings.Split(call{args: []string{"destinations", "list"}, env: env}.done(t), "\n")
	require.Equal(t, []string{"DESTINATION", "HOST", "STATE", "IN", "FLIGHT", "WAITING", "HELD", "OLDEST", "LAST", "SUCCESS", "LAST", "FAILURE", "NEXT", "PROBE"}, strings.Fields(lines[0]))
	require.Regexp(t, `^crm +crm\.example +paused +3/32 +4 +1 +\d+d\d+h +2026-11-02T09:58:00Z +2026-11-02T09:59:00Z +2026-11-02T10:01:00Z$`, lines[1])
	require.Regexp(t, `^gone +gone +0/4 +0 +0 +- +- +- +-$`, lines[2])
	require.Regexp(t, `^new +new\.example +unknown +0/4 +0 +0 +- +- +- +-$`, lines[3])
	require.Equal(t, []string{
		``,
		`crm: paused by olga since 2026-11-02T10:00:00Z: they\x0amove`,
		`crm: the last failure was: HTTP 500`,
		`gone: it answered HTTP 410; nothing is sent until 2999-01-01T00:00:00Z or a resume`,
		``,
	}, lines[4:])
	require.Equal(t, destinationsJSON+"\n", call{args: []string{"destinations", "list", "-o", "json"}, env: env}.done(t))

	require.Equal(t, "a /.. is paused; workers follow within seconds\n",
		call{args: []string{"destinations", "pause", "a /..", "--note", "they move"}, env: env}.done(t))
	require.Equal(t, `{"ok":true,"destination":"crm","paused":false}`+"\n",
		call{args: []string{"destinations", "resume", "crm", "--note", "done", "-o", "json"}, env: env}.done(t))
	for _, args := range [][]string{{"destinations", "pause", "crm"}, {"destinations", "resume", "--note", "x"}} {
		require.Equal(t, 2, call{args: args, env: env}.run(t).code, args)
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	const alarm = `{"alerts":[{"kind":"destination","name":"crm","text":"crm is down: it\u001b answered 503. 3 emails wait.",` +
		`"help":"runbook#downstream_unavailable"}],"states":[{"state":"processing","count":2}],"inbox":{"waiting":7}}`
	env := operationsAPI(t, map[string]string{"GET /api/v1/overview": alarm})
	require.Equal(t, strings.Join([]string{
		`ALERT  crm is down: it\x1b answered 503. 3 emails wait.`,
		`       see the page /help/runbook#downstream_unavailable of the console`,
		``,
		`STATE                  EMAILS`,
		`processing             2`,
		`waiting to be started  7`,
		``,
	}, "\n"), call{args: []string{"overview"}, env: env}.done(t))
	require.Equal(t, alarm+"\n", call{args: []string{"overview", "-o", "json"}, env: env}.done(t))
	calm := operationsAPI(t, map[string]string{"GET /api/v1/overview": `{"alerts":[]}`})
	require.Contains(t, call{args: []string{"overview"}, env: calm}.done(t), "No alerts.\n")
}

func TestRoutesList(t *testing.T) {
	t.Parallel()
	env := operationsAPI(t, map[string]string{"GET /api/v1/routes": routesJSON})
	require.Equal(t, strings.Join([]string{
		`ROUTE   WHEN                                      TO     HOLD`,
		`urgent  recipient=a@*, sender=*@x, X-Priority: 1  crm,b  yes`,
		`all     always                                    crm    no`,
		``,
		`Rules version abc`,
		``,
	}, "\n"), call{args: []string{"routes", "list"}, env: env}.done(t))
	require.Equal(t, routesJSON+"\n", call{args: []string{"routes", "list", "-o", "json"}, env: env}.done(t))
}

func TestRoutesTest(t *testing.T) {
	t.Parallel()
	env := operationsAPI(t, map[string]string{
		`POST /api/v1/routes/test {"source":"s","sender":"x@x","recipients":["a@b","c@e","d@e"],"subject":"hi","headers":{"X-Priority":"1"},"tenant":"t"}`: testJSON,
		`POST /api/v1/routes/test {"email":"evt_1","source":"s"}`: nowhereJSON,
		`POST /api/v1/routes/test {"sender":"from@x.example","recipients":["to@x.example","cc@x.example"],"subject":"Order",` +
			`"headers":{"Cc":"cc@x.example","From":"F \u003cfrom@x.example\u003e","Subject":"Order","To":"to@x.example","X-Seen":"first"}}`: nowhereJSON,
		`POST /api/v1/routes/test {"sender":"other@x","recipients":["only@x"],"subject":"Order",` +
			`"headers":{"Cc":"cc@x.example","From":"F \u003cfrom@x.example\u003e","Subject":"Order","To":"to@x.example","x-seen":"mine: too"}}`: nowhereJSON,
	})
	reported := operationsAPI(t, map[string]string{
		`POST /api/v1/routes/test {"recipients":["a@b"],"auth":{"spf":"fail","dmarc":"none"},"type":"email","mailbox":"box@b"}`: nowhereJSON,
	})
	require.Equal(t, nowhereJSON+"\n", call{args: []string{"routes", "test", "--to", "a@b", "--auth", "spf=fail", "--auth", "DMARC=none",
		"--type", "email", "--mailbox", "box@b", "-o", "json"}, env: reported}.done(t))
	got := call{args: []string{"routes", "test", "--to", "a@b", "--to", "c@e,d@e", "--from", "x@x", "--subject", "hi", "--header", "X-Priority: 1", "--source", "s", "--tenant", "t"}, env: env}.done(t)
	require.Equal(t, strings.Join([]string{
		`ROUTE   MATCHES  WHY`,
		`urgent  yes      every condition holds`,
		`all     no       the sender is not *@\x1b`,
		``,
		`It was tried as mail of the tenant t, by the source s.`,
		`It goes to crm, b.`,
		`No rule takes: d@e`,
		`It is held first: policy_hold: urgent`,
		``,
	}, "\n"), got)
	require.Equal(t, nowhereJSON+"\n", call{args: []string{"routes", "test", "--email", "evt_1", "--source", "s", "-o", "json"}, env: env}.done(t))

	eml := "From: F <from@x.example>\r\nTo: to@x.example\r\nCc: cc@x.example\r\nSubject: Order\r\nX-Seen: first\r\nX-SEEN: second\r\n\r\nhello\r\n"
	path := file(t, "order.eml", eml)
	require.Contains(t, call{args: []string{"routes", "test", path}, env: env}.done(t), "It goes to no destination.")
	require.Contains(t, call{args: []string{"routes", "test", "-", "--from", "other@x", "--to", "only@x", "--header", "x-seen: mine: too"}, stdin: eml, env: env}.done(t), "It goes to no destination.")

	for _, row := range []struct {
		args []string
		why  string
	}{
		{nil, "give --email, a file, or what the mail would have"},
		{[]string{"--email", "e", "--from", "a@b"}, "--email goes alone"},
		{[]string{"--email", "e", path}, "--email goes alone"},
		{[]string{"--header", "nothing"}, `--header: give "Name: value"`},
		{[]string{"--header", ": x"}, `--header: give "Name: value"`},
	} {
		out := call{args: append([]string{"routes", "test"}, row.args...), env: env}.run(t)
		require.Equal(t, 2, out.code, row.args)
		require.Contains(t, out.stderr, row.why)
	}
}

// TestListFilters: every flag of the list becomes its parameter, and a duration is
// how long ago.
func TestListFilters(t *testing.T) {
	t.Parallel()
	asked := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"emails":[],"next_cursor":""}`)
	}))
	defer server.Close()
	env := map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t0ken"}
	call{args: []string{"emails", "list", "--sender", "ann@", "--recipient", "sales", "--destination", "crm", "--since", "24h", "--until", "2026-11-01T12:00:00+02:00"}, env: env}.done(t)
	query := (<-asked).URL.Query()
	since, err := time.Parse(time.RFC3339, query.Get("since"))
	require.NoError(t, err)
	require.InDelta(t, 24*time.Hour, time.Since(since), float64(time.Minute))
	query.Del("since")
	require.Equal(t, "destination=crm&recipient=sales&sender=ann%40&until=2026-11-01T10%3A00%3A00Z", query.Encode())
	for _, bad := range []string{"yesterday", "-2h", "2026-11-01"} {
		out := call{args: []string{"emails", "list", "--since=" + bad}, env: env}.run(t)
		require.Equal(t, 2, out.code, bad)
		require.Contains(t, out.stderr, "--since: give a time such as")
	}
	require.Empty(t, asked)
}
