package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"mailroom/deploy/dev/stack"
)

func countRequest(w *world, query string) *workflowservice.CountWorkflowExecutionsRequest {
	return &workflowservice.CountWorkflowExecutionsRequest{Namespace: w.infra.TemporalNamespace, Query: query}
}

// held is one way to get an email held, and what becomes of it.
type held struct {
	reason  string
	event   func(id string) fields
	before  func(w *world) // what must go wrong at a destination
	action  string
	way     string // api, mailctl, signal or update
	end     string
	effects map[string]int
}

func heldEmails() []held {
	ticket, none := map[string]int{"/tickets": 1}, map[string]int{}
	with := func(more fields) func(string) fields {
		return func(id string) fields { return shapeA(id, "support").with(more) }
	}
	attach := func(a ...any) func(string) fields { return with(fields{"attachments": a}) }
	lies := attached("a.txt", "text/plain", []byte("honest"))
	lies["size"] = 7
	forged := attached("a.txt", "text/plain", []byte("honest"))
	forged["checksum"] = "sha256:" + strings.Repeat("0", 64)
	broken := attached("a.txt", "text/plain", []byte("honest"))
	broken["content_base64"] = "!!! not base64"
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 512)...)
	nested := strings.Builder{}
	for i := range 17 { // one more than is read, and fewer than clamd reads
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	raw := func(mail string) fields {
		return fields{"raw_mime_base64": base64.StdEncoding.EncodeToString([]byte(mail))}
	}
	return []held{
		{reason: "schema_invalid", event: attach(broken), action: "approve", way: "api", end: "delivered", effects: ticket},
		{reason: "schema_invalid", event: func(id string) fields {
			many := map[string]string{}
			for i := range 2000 {
				many[fmt.Sprintf("X-%d", i)] = "x"
			}
			size := attached("a.txt", "text/plain", []byte("honest"))
			size["size"] = map[string]any{"bytes": 6}
			return shapeA(id, "support").with(fields{
				"headers": many, "sender": 7, "attachments": []any{size}, "x": json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200)),
				"envelope": fields{"rcpt_to": slices.Repeat([]string{"support@yourapp.example"}, 11_000)},
			})
		}, action: "approve", way: "mailctl", end: "delivered", effects: ticket},
		{reason: "mime_malformed", event: with(raw("Subject: deep\r\n" + nested.String())), action: "approve", way: "mailctl", end: "delivered", effects: ticket},
		{reason: "loop_detected", event: with(raw(strings.Repeat("Received: by a\r\n", 101) + "Subject: loop\r\n\r\nx")), action: "discard", way: "signal", end: "discarded", effects: none},
		{reason: "too_large", event: attach(attached("b.bin", "application/octet-stream", make([]byte, 4<<20+1))), action: "approve", way: "update", end: "delivered", effects: ticket},
		{reason: "attachment_type_denied", event: attach(attached("a", "application/octet-stream", elf)), action: "discard", way: "mailctl", end: "discarded", effects: none},
		{reason: "attachment_mismatch", event: attach(lies), action: "approve", way: "signal", end: "delivered", effects: ticket},
		{reason: "attachment_mismatch", event: attach(forged), action: "discard", way: "api", end: "discarded", effects: none},
		{reason: "attachment_unfetchable", event: attach(fields{"filename": "a.txt", "content_type": "text/plain", "url": "https://cdn.example/a"}), action: "approve", way: "api", end: "delivered", effects: ticket},
		{reason: "infected", event: attach(attached("a.com", "text/plain", eicar())), action: "approve", way: "mailctl", end: "delivered", effects: ticket},
		{reason: "infected", event: with(fields{"text": string(eicar())}), action: "discard", way: "update", end: "discarded", effects: none},
		// Before the first part: no part has it, the raw mail does.
		{reason: "infected", event: with(raw("Subject: preamble\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + string(eicar()) + "\r\n--b\r\n\r\nx\r\n--b--\r\n")), action: "discard", way: "api", end: "discarded", effects: none},
		{reason: "unscannable", event: attach(attached("a.zip", "application/zip", zipped("a.txt", []byte("secret"), true))), action: "discard", way: "signal", end: "discarded", effects: none},
		{reason: "unroutable", event: func(id string) fields { return shapeA(id, "nobody") }, action: "discard", way: "api", end: "discarded", effects: none},
		{reason: "recipient_foreign", event: func(id string) fields {
			f := shapeA(id, "support")
			f["envelope"] = fields{"mail_from": "a@b.example", "rcpt_to": []string{"support@other.example"}}
			return f.with(fields{"recipient": []string{"support@other.example"}})
		}, action: "approve", way: "api", end: "delivered", effects: ticket},
		{reason: "recipient_unmatched", event: func(id string) fields {
			f := shapeA(id, "support")
			f["envelope"] = fields{"mail_from": "a@b.example", "rcpt_to": []string{"support@yourapp.example", "nobody@yourapp.example"}}
			return f
		}, action: "approve", way: "api", end: "delivered", effects: ticket},
		{reason: "manual_hold", event: func(id string) fields { return shapeA(id, "careful") }, action: "approve", way: "signal", end: "delivered", effects: ticket},
		{reason: "downstream_rejected", event: func(id string) fields { return shapeA(id, "rejecting") },
			before: func(w *world) { w.script(map[string]any{"path": "/rejecting", "status": 422, "count": 1}) },
			action: "retry", way: "mailctl", end: "delivered", effects: map[string]int{"/tickets": 1, "/rejecting": 1}},
		{reason: "ambiguous_effect", event: func(id string) fields { return shapeA(id, "legacy") },
			before: func(w *world) { w.script(map[string]any{"path": "/legacy", "drop": "after", "count": 1}) },
			action: "discard", way: "mailctl", end: "discarded", effects: map[string]int{"/legacy": 1}},
	}
}

// TestEveryReason holds an email for each reason and lets a person decide, by
// each of the ways there are.
func TestEveryReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.More = "unmatched: hold" })
	for i, h := range heldEmails() {
		t.Run(fmt.Sprintf("%d %s %s by %s", i, h.reason, h.action, h.way), func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			if h.before != nil {
				h.before(w)
			}
			id := newID()
			w.accept(h.event(id).json())
			e := w.until(id, "quarantined")
			require.Equal(t, h.reason, e.Reason, e.Detail)
			require.NotEmpty(t, e.Detail)
			before := w.effects(id)
			delete(before, "/legacy") // dropped after its effect
			if h.reason != "downstream_rejected" {
				require.Empty(t, before, "nothing leaves while an email is held")
			}
			w.decideBy(h.way, id, h.action)
			e = w.until(id, h.end)
			require.Equal(t, h.effects, w.effects(id))
			require.Len(t, e.Decisions, 1)
			require.Equal(t, h.action, e.Decisions[0].Action)
			require.NotEmpty(t, e.Decisions[0].Actor)
		})
	}
}

// decideBy takes a decision in one of the four ways.
func (w *world) decideBy(way, id, action string) {
	w.t.Helper()
	switch way {
	case "api":
		w.decide(id, action)
	case "mailctl":
		w.run("mailctl", "emails", action, id, "--note", "end to end")
	case "signal":
		w.run("temporal", "workflow", "signal", "--workflow-id", id, "--name", action)
	case "update":
		w.run("temporal", append([]string{"workflow", "update", "execute", "--workflow-id", id, "--name", "decide",
			"--input", fmt.Sprintf(`{"action":%q,"actor":"grace","note":"end to end"}`, action)}, w.codecFlags(operatorToken)...)...)
	default:
		w.t.Fatalf("no way %q", way)
	}
}

// TestBudgets holds mail whose scanner or destination is unavailable for too long.
func TestBudgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.Deliver = "2s" })
	w.script(map[string]any{"path": "/away", "status": 503})
	id := newID()
	w.accept(shapeA(id, "away").json())
	e := w.until(id, "quarantined")
	require.Equal(t, "downstream_exhausted", e.Reason)
	w.clear("/away")
	w.decide(id, "retry")
	w.until(id, "delivered")
	require.Equal(t, map[string]int{"/away": 1}, w.effects(id))
}

// TestLostContent takes the body away behind Mailroom's back.
func TestLostContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	require.NoError(t, w.Stop(stack.Worker))
	id := newID()
	w.accept(shapeA(id, "support").with(fields{"text": strings.Repeat("long ", 30_000)}).json())
	w.removeBodies()
	require.NoError(t, w.Start(t.Context(), stack.Worker))
	e := w.until(id, "quarantined")
	require.Equal(t, "internal", e.Reason)
	w.decide(id, "discard")
	w.until(id, "discarded")
	require.Empty(t, w.effects(id))
}
