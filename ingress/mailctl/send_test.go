package mailctl_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/payload"
	"mailroom/shared/signing"
)

// fakeIngress stands in for the ingress: it checks the signature, keeps the bodies and
// answers as the ingress does.
type fakeIngress struct {
	server *httptest.Server
	mu     sync.Mutex
	bodies []string
	seen   map[string]bool
}

const secret = "s3cret"

func newIngress(t *testing.T) *fakeIngress {
	t.Helper()
	d := &fakeIngress{seen: map[string]bool{}}
	d.server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.server.Close)
	return d
}

func (d *fakeIngress) serve(w http.ResponseWriter, r *http.Request) {
	content, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	timestamp := r.Header.Get("X-Webhook-Timestamp")
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
		r.Header.Get("X-Webhook-Signature") != signing.TimestampHMAC(secret, timestamp, content) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"ok":false,"error":"signature_invalid","message":"no \u001b[31m match"}`)
		return
	}
	var event struct {
		EventID string `json:"event_id"`
		ID      string `json:"id"`
	}
	if json.Unmarshal(content, &event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"ok":false,"error":"json_malformed","message":"the body is not JSON"}`)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id := event.EventID + event.ID
	d.bodies = append(d.bodies, string(content))
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "status": "ok", "id": id, "duplicate": d.seen[id]})
	d.seen[id] = true
}

func (d *fakeIngress) send(args ...string) call {
	return call{args: append([]string{"send"}, args...), env: map[string]string{
		"MAILROOM_URL": d.server.URL + "/webhooks/email", "WEBHOOK_SECRET": secret,
	}}
}

// event returns the n-th body that arrived.
func (d *fakeIngress) event(t *testing.T, n int) map[string]any {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Greater(t, len(d.bodies), n)
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.bodies[n]), &out))
	return out
}

func TestSendSample(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	got := d.send("--from", "Ada <ada@example.com>", "--to", "support@yourapp.example", "--to", "b@yourapp.example",
		"--subject", "Hi", "--text", "T", "--html", "<p>H", "--attach", file(t, "a.png", "png!"), "--event-id", "evt_1").done(t)
	require.Equal(t, "evt_1\t200\taccepted\n", got)
	decoded, err := payload.Decode([]byte(d.bodies[0]), payload.Options{Strict: true})
	require.NoError(t, err)
	require.Empty(t, decoded.Problems)
	require.Zero(t, decoded.Unknown)
	require.Equal(t, "png!", string(decoded.Attachments[0].Content))
	event := d.event(t, 0)
	require.NotEmpty(t, event["timestamp"])
	delete(event, "timestamp")
	require.Equal(t, map[string]any{
		"event_id": "evt_1", "type": "email.received", "subject": "Hi", "text": "T", "html": "<p>H",
		"envelope":  map[string]any{"mail_from": "ada@example.com", "rcpt_to": []any{"support@yourapp.example", "b@yourapp.example"}},
		"sender":    []any{map[string]any{"address": "ada@example.com", "name": "Ada"}},
		"recipient": []any{map[string]any{"address": "support@yourapp.example"}, map[string]any{"address": "b@yourapp.example"}},
		"attachments": []any{map[string]any{
			"filename": "a.png", "content_type": "image/png", "size": 4.0, "content_base64": "cG5nIQ==",
			"checksum": "sha256:53ec22c455168e29791219d4017c53b8203153e83853cc7a232b4ab446a8c6b7",
		}},
	}, event)
}

// A list with commas was one recipient that does not exist, delivered by the first rule.
func TestSendToSeveral(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	want := []any{"a@x.example", "b@x.example", `"c,d"@x.example`}
	list := `a@x.example,"B, of X" <b@x.example>`
	d.send("--to", list, "--to", `"c,d"@x.example`).done(t)
	require.Equal(t, map[string]any{"mail_from": "ada@example.com", "rcpt_to": want}, d.event(t, 0)["envelope"])
	d.send(file(t, "a.eml", mailText), "--to", list, "--from", "<>").done(t)
	require.Equal(t, map[string]any{"mail_from": "<>", "rcpt_to": want[:2]}, d.event(t, 1)["envelope"])
}

func TestSendChecksAddressesFirst(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	mail := file(t, "a.eml", mailText)
	for _, row := range []struct{ flag, value, want string }{
		{"--to", "a@x.example;b@x.example", "is no address, nor a list of them with commas"},
		{"--to", "noone", "is no address"},
		{"--to", "a@x..example", "is no address"},
		{"--to", "a@" + strings.Repeat("x", 64), "has no valid domain"},
		{"--from", "a@x.example,b@x.example", "--from: give one address"},
		{"--from", "noone", "--from: noone is no address"},
	} {
		for _, args := range [][]string{{row.flag, row.value}, {mail, row.flag, row.value}, {mail, mail, row.flag, row.value}} {
			got := d.send(args...).run(t)
			require.Equal(t, 2, got.code, args)
			require.Contains(t, got.stderr, row.want, args)
			requireOneLine(t, got.stderr)
		}
	}
	require.Empty(t, d.bodies)
}

func TestSendAgainIsDuplicate(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	d.send("--event-id", "evt_1").done(t)
	require.Equal(t, "evt_1\t200\tduplicate\n", d.send("--event-id", "evt_1").done(t))
	require.Equal(t, `{"id":"evt_1","status":200,"duplicate":true,"error":""}`+"\n", d.send("--event-id", "evt_1", "-o", "json").done(t))
}

func TestSendMany(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	lines := strings.Split(strings.TrimSpace(d.send("--count", "40", "--parallel", "4", "-o", "json").done(t)), "\n")
	require.Len(t, lines, 40)
	ids := map[string]bool{}
	for _, line := range lines {
		var r struct {
			ID        string
			Duplicate bool
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.False(t, r.Duplicate)
		ids[r.ID] = true
	}
	require.Len(t, ids, 40)
	got := strings.Split(strings.TrimSpace(d.send("--count", "2", "--event-id", "x").done(t)), "\n")
	slices.Sort(got)
	require.Equal(t, []string{"x-1\t200\taccepted", "x-2\t200\taccepted"}, got)
}

func TestSendJSONByteForByte(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	const odd = "  {\"id\" : \"evt_b\",\n\"messageId\":\"<x>\"}\n\n"
	require.Equal(t, "evt_b\t200\taccepted\n", d.send(file(t, "b.json", odd)).done(t))
	require.Equal(t, odd, d.bodies[0])
	stdin := d.send("-")
	stdin.stdin = odd
	require.Equal(t, "evt_b\t200\tduplicate\n", stdin.done(t))

	require.Equal(t, "new\t200\taccepted\n", d.send(file(t, "b.json", odd), "--event-id", "new").done(t))
	require.Equal(t, map[string]any{"id": "new", "messageId": "<x>"}, d.event(t, 2))
	got := strings.Split(strings.TrimSpace(d.send(file(t, "b.json", odd), "--count", "2").done(t)), "\n")
	slices.Sort(got)
	require.Equal(t, []string{"evt_b-1\t200\taccepted", "evt_b-2\t200\taccepted"}, got)
}

const mailText = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nTo: support@yourapp.example\r\nCc: c@yourapp.example\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"

func TestSendMail(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	d.send(file(t, "a.eml", mailText), "--event-id", "m1").done(t)
	decoded, err := payload.Decode([]byte(d.bodies[0]), payload.Options{Strict: true})
	require.NoError(t, err)
	require.Empty(t, decoded.Problems)
	require.Equal(t, mailText, string(decoded.RawMIME))
	event := d.event(t, 0)
	require.Equal(t, base64.StdEncoding.EncodeToString([]byte(mailText)), event["raw_mime_base64"])
	require.Equal(t, map[string]any{"mail_from": "j@example.com", "rcpt_to": []any{"support@yourapp.example", "c@yourapp.example"}}, event["envelope"])
	require.Equal(t, "grüße", event["subject"])
	require.Equal(t, []any{map[string]any{"address": "j@example.com", "name": "Jürgen"}}, event["sender"])

	d.send(file(t, "a.eml", mailText), "--from", "bounce@example.com", "--to", "x@yourapp.example").done(t)
	require.Equal(t, map[string]any{"mail_from": "bounce@example.com", "rcpt_to": []any{"x@yourapp.example"}}, d.event(t, 1)["envelope"])

	broken := file(t, "broken.eml", "\x00\x01 no mail")
	got := d.send(broken).run(t)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "give --to")
	d.send(broken, "--to", "x@yourapp.example").done(t)
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	d := newIngress(t)
	c := d.send("--event-id", "evt_1", "--count", "2", "--parallel", "1")
	c.env["WEBHOOK_SECRET"] = "wrong"
	require.Equal(t, outcome{
		1, "evt_1-1\t401\tsignature_invalid: no \\x1b[31m match\nevt_1-2\t401\tsignature_invalid: no \\x1b[31m match\n",
		"mailctl: 2 of 2 not accepted; the secret came from the environment variable WEBHOOK_SECRET\n",
	}, c.run(t))

	got := d.send(file(t, "bad.json", "{"), file(t, "good.json", `{"event_id":"good"}`), "--parallel", "1", "-o", "json").run(t)
	require.Equal(t, outcome{1, `{"id":"","status":400,"duplicate":false,"error":"json_malformed"}` + "\n" +
		`{"id":"good","status":200,"duplicate":false,"error":""}` + "\n", "mailctl: 1 of 2 not accepted\n"}, got)

	got = call{args: []string{"send", "--event-id", "e", "-o", "json", "--url", "http://127.0.0.1:1/x"}}.run(t)
	require.Equal(t, 1, got.code)
	require.JSONEq(t, `{"id":"e","status":0,"duplicate":false,"error":"no_answer"}`, got.stdout)
}

// TestSendFollowsNoRedirect: a signed body is for the host it was meant for.
func TestSendFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	target := newIngress(t)
	from := httptest.NewServer(http.RedirectHandler(target.server.URL, http.StatusTemporaryRedirect))
	t.Cleanup(from.Close)
	got := call{args: []string{"send", "--url", from.URL}, env: map[string]string{"WEBHOOK_SECRET": secret}}.run(t)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, "\t307\tunexpected_answer")
	require.Empty(t, target.bodies)
}

func TestSendInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := newIngress(t)
	got := d.send("--count", "1000").runContext(ctx, t)
	require.Equal(t, 1, got.code)
	require.Equal(t, "mailctl: interrupted\n", got.stderr)
	require.Empty(t, d.bodies)
}
