package mailctl

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/signing"
)

// baselines are the calls that a flag is added to, at least one for each command. A
// command that is missing here fails TestEveryFlagIsHonouredOrRefused.
var baselines = map[string][][]string{
	"send":                {{"send", "--event-id", "evt_1"}, {"send", "{json}"}, {"send", "{eml}", "--event-id", "evt_1"}},
	"sign":                {{"sign", "{json}"}},
	"verify":              {{"verify", "{json}", "--timestamp", "1", "--signature", "{signature}"}},
	"mime":                {{"mime", "{eml}"}},
	"emails list":         {{"emails", "list"}},
	"emails get":          {{"emails", "get", "evt_1"}},
	"emails approve":      decisionBaselines("approve"),
	"emails discard":      decisionBaselines("discard"),
	"emails retry":        decisionBaselines("retry"),
	"emails hold":         decisionBaselines("hold"),
	"emails edit":         {{"emails", "edit", "evt_1", "--note", "n", "--destination", "ticketing"}},
	"emails raw":          {{"emails", "raw", "evt_1"}},
	"replay run":          {{"replay", "run", "--note", "n", "--yes"}, {"replay", "run", "--note", "n", "--dry-run"}, {"replay", "run", "--note", "n"}},
	"replay list":         {{"replay", "list"}},
	"replay show":         {{"replay", "show", "5"}, {"replay", "show", "5", "--items"}},
	"replay watch":        {{"replay", "watch", "5"}},
	"replay pause":        {{"replay", "pause", "5"}},
	"replay resume":       {{"replay", "resume", "5"}},
	"replay stop":         {{"replay", "stop", "5"}},
	"replay rate":         {{"replay", "rate", "5", "10"}},
	"audit verify":        {{"audit", "verify"}, {"audit", "verify", "{custody}"}},
	"audit export":        {{"audit", "export", "--event", "evt_1"}},
	"audit head":          {{"audit", "head"}},
	"sources list":        {{"sources", "list"}},
	"sources failures":    {{"sources", "failures", "mailparse"}},
	"tokens create":       {{"tokens", "create", "ci", "--role", "viewer"}},
	"tokens list":         {{"tokens", "list"}},
	"tokens revoke":       {{"tokens", "revoke", "ci"}},
	"overview":            {{"overview"}},
	"destinations list":   {{"destinations", "list"}},
	"destinations pause":  {{"destinations", "pause", "ticketing", "--note", "n"}},
	"destinations resume": {{"destinations", "resume", "ticketing", "--note", "n"}},
	"version":             {{"version"}},
	"config check":        {{"config", "check", "{eml}"}},
	"config schema":       {{"config", "schema"}},
	"completion":          {{"completion", "bash"}},
	"routes list":         {{"routes", "list"}},
	"routes test":         {{"routes", "test", "--to", "a@b.example"}, {"routes", "test", "--email", "evt_1"}, {"routes", "test", "{eml}"}},
}

func decisionBaselines(verb string) [][]string {
	return [][]string{
		{"emails", verb, "evt_1", "--note", "n"},
		{"emails", verb, "--all", "--note", "n", "--yes"},
		{"emails", verb, "--all", "--note", "n"},
	}
}

// silent are flags that are honoured although a call does the same without them.
var silent = map[string]string{
	"config check {eml} --resolve":                              "a file that is no YAML has no secrets",
	"emails approve evt_1 --note n --yes":                       "nothing is asked about one email",
	"emails discard evt_1 --note n --yes":                       "nothing is asked about one email",
	"emails retry evt_1 --note n --yes":                         "nothing is asked about one email",
	"config schema --output":                                    "a schema is JSON either way",
	"completion bash --output":                                  "a script is a script either way",
	"emails hold evt_1 --note n --yes":                          "nothing is asked about one email",
	"audit export --event evt_1 --output":                       "an export is JSON either way",
	"replay run --note n --dry-run --yes":                       "a dry run asks nothing",
	"sign {json} --url":                                         "it decides alone whether the secret of development may serve",
	"verify {json} --timestamp 1 --signature {signature} --url": "it decides alone whether the secret of development may serve",
}

// A flag that is parsed and then forgotten misleads: `emails discard ID --dry-run` once
// discarded, and `discard ID --tenant acme` discarded another tenant's email.
func TestEveryFlagIsHonouredOrRefused(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commands{}, kong.Vars{"api": "x", "url": "x"})
	require.NoError(t, err)

	seen := 0
	for _, leaf := range parser.Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.Path(), "mailctl ")
		name = strings.TrimSpace(strings.TrimPrefix(name, parser.Model.Name))
		calls := baselines[name]
		require.NotEmpty(t, calls, "the command %q has no call in this test", name)
		for _, call := range calls {
			before := trace(t, call)
			for _, group := range leaf.AllFlags(true) {
				for _, flag := range group {
					if flag.Name == "help" || hasFlag(call, flag.Name) {
						continue
					}
					seen++
					checkFlag(t, call, before, flag)
				}
			}
		}
	}
	require.Greater(t, seen, 200, "the walk has found too few flags")
}

// checkFlag requires that a call with the flag is refused as wrong usage, or does
// something else than the call without it, which did what before says.
func checkFlag(t *testing.T, call []string, before traced, flag *kong.Flag) {
	t.Helper()
	words := append(append([]string{}, call...), "--"+flag.Name)
	label := strings.Join(words, " ")
	value := sampleValue(t, flag)
	if value != "" {
		words[len(words)-1] += "=" + value
	}

	after := trace(t, words)
	if after.code == exitUsage {
		return
	}
	if _, ok := silent[label]; ok {
		require.Equal(t, before, after, "mailctl %s does what it is listed not to do", label)
		return
	}
	require.NotEqual(t, before, after, "mailctl %s does the same as without the flag", strings.Join(words, " "))
}

// `emails list --to` was an unknown flag, beside `send --to` and `routes test --to`.
func TestToIsARecipientInFilters(t *testing.T) {
	t.Parallel()
	for _, call := range [][]string{{"emails", "list"}, {"replay", "run", "--note", "n", "--dry-run"}} {
		require.Equal(t, trace(t, append(call, "--recipient", "a@b.example")).requests, trace(t, append(call, "--to", "a@b.example")).requests)
	}
	require.Contains(t, trace(t, []string{"emails", "list", "--to", "a@b.example"}).requests, "recipient=a%40b.example")
}

func hasFlag(call []string, flag string) bool {
	for _, word := range call {
		if word == "--"+flag || (flag == "yes" && word == "-y") {
			return true
		}
	}
	return false
}

// sampleValue returns a value for the flag that is not its default; "" for a switch.
func sampleValue(t *testing.T, flag *kong.Flag) string {
	t.Helper()
	if flag.IsBool() {
		return ""
	}
	for _, option := range flag.EnumSlice() {
		if option != flag.Default {
			return option
		}
	}
	switch flag.Name {
	case "since", "until", "expires", "tolerance":
		return "90s"
	case "limit", "count", "parallel", "rate":
		return "3"
	case "header":
		return "X-A: b"
	case "field":
		return "a=b"
	case "head":
		return "1:" + strings.Repeat("0", 64)
	case "file":
		return filepath.Join(t.TempDir(), "new")
	case "secret-file", "token-file", "raw", "attach":
		path := filepath.Join(t.TempDir(), "text")
		require.NoError(t, os.WriteFile(path, []byte("other text"), 0o600))
		return path
	case "api", "url":
		return "{other}"
	case "from", "to", "recipient":
		return "other@b.example"
	case "drop":
		return strings.Repeat("a", 64)
	}
	return "value"
}

// traced is all that can be seen of a call.
type traced struct {
	code     int
	requests string
	out      string
}

// trace runs a call beside a server that answers everything alike.
func trace(t *testing.T, words []string) traced {
	t.Helper()
	const event = `{"event_id":"evt_json"}`
	dir := t.TempDir()
	recorder := &recorder{secret: "s3cret", custody: custodyExport(t)}
	main, other := httptest.NewServer(recorder.named("main")), httptest.NewServer(recorder.named("other"))
	defer main.Close()
	defer other.Close()
	replace := strings.NewReplacer("{json}", filepath.Join(dir, "a.json"), "{eml}", filepath.Join(dir, "a.eml"),
		"{custody}", filepath.Join(dir, "custody"), "{other}", other.URL,
		"{signature}", signing.TimestampHMAC(recorder.secret, "1", []byte(event)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "custody"), custodyExport(t), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(event), 0o600))
	mail := "From: a@b.example\r\nTo: c@d.example\r\nSubject: s\r\n\r\ntext\r\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.eml"), []byte(mail), 0o600))
	args := make([]string, len(words))
	for i, word := range words {
		args[i] = replace.Replace(word)
	}

	var out, errs bytes.Buffer
	env := map[string]string{
		"MAILROOM_API": main.URL, "MAILROOM_URL": main.URL, "MAILROOM_TOKEN": "t0ken", "WEBHOOK_SECRET": recorder.secret,
	}
	code := Run(t.Context(), args, strings.NewReader("y\n"), &out, &errs, func(name string) string { return env[name] })
	text := strings.NewReplacer(dir, "{dir}", main.URL, "{main}").Replace(out.String() + errs.String())
	return traced{code: code, requests: recorder.text(), out: text}
}

// recorder answers what the API answers, in the least detail that mailctl reads, and
// keeps what it was asked.
type recorder struct {
	secret  string
	custody []byte
	mu      sync.Mutex
	asked   []string
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.asked, "\n")
}

func (r *recorder) named(server string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		timestamp := req.Header.Get(signing.TimestampHeader)
		signed := req.Header.Get(signing.SignatureHeader) == signing.TimestampHMAC(r.secret, timestamp, body)
		var fields map[string]any
		if json.Unmarshal(body, &fields) == nil {
			delete(fields, "timestamp") // of the event: now
		}

		r.mu.Lock()
		r.asked = append(r.asked, fmt.Sprint(server, " ", req.Method, " ", req.RequestURI, " ", req.Header.Get("Authorization"), " ", signed, " ", fields))
		r.mu.Unlock()

		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(req.URL.Path, "/raw"):
			_, _ = io.WriteString(w, "raw")
		case strings.HasSuffix(req.URL.Path, "/custody"):
			_, _ = w.Write(r.custody)
		case fields["dry_run"] == true:
			_, _ = io.WriteString(w, `{"id":4,"state":"done","preview":{"total":2,"would":{"decided":2}}}`)
		case strings.HasPrefix(req.URL.Path, "/api/v1/replays/5/items"):
			_, _ = io.WriteString(w, `{"items":[]}`)
		case strings.HasPrefix(req.URL.Path, "/api/v1/replays") && req.URL.Path != "/api/v1/replays" || req.Method == http.MethodPost && req.URL.Path == "/api/v1/replays":
			_, _ = io.WriteString(w, `{"id":5,"state":"done","total":2,"done":2}`)
		default:
			_, _ = io.WriteString(w, `{"id":"evt_1","event_id":"evt_1","state":"quarantined","reason":"infected","name":"ci","destination":"ticketing","token":"text"}`)
		}
	}
}

// custodyExport returns the export of an email without decisions, which verifies.
func custodyExport(t *testing.T) []byte {
	t.Helper()
	at := time.Date(2026, 11, 25, 7, 0, 0, 0, time.UTC)
	record := auditchain.Record{EventID: "evt_1", Source: "mailparse", Tenant: "default", EmailID: 7, ReceivedAt: at, ExportedAt: at}
	body, err := auditchain.ExportBody(&record)
	require.NoError(t, err)
	entry := auditchain.Entry{
		Seq: 1, AtUnixMicro: at.UnixMicro(), Kind: auditchain.KindExport, EmailID: 7, EventID: "evt_1", Source: "mailparse",
		Tenant: "default", Actor: "olga", Via: "api", Body: string(body),
	}
	entry.ContentHash = sha256.Sum256(entry.Content())
	entry.Hash = auditchain.Link(entry.Seq, entry.PrevHash, entry.ContentHash)
	text, err := json.Marshal(auditchain.Document{Format: auditchain.Format, Record: record, Proof: auditchain.Proof{
		From: 1, Links: []contract.Digest{entry.ContentHash}, Entries: []auditchain.Entry{entry},
		Head: auditchain.Head{Seq: 1, Hash: entry.Hash},
	}})
	require.NoError(t, err)
	return text
}
