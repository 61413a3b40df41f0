package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// editCase is one email that is held, the edit that helps it, and what comes of it.
type editCase struct {
	event   func(id string) fields
	before  func(w *world)
	reason  string
	flags   []string
	effects map[string]int
	check   func(t *testing.T, w *world, id string)
}

func editCases() map[string]editCase {
	ticket := map[string]int{"/tickets": 1}
	latin := []byte("From: a@elsewhere.example\r\nSubject: caf\xe9\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ncr\xe8me br\xfbl\xe9e")
	return map[string]editCase{
		"recipient": {
			event:  func(id string) fields { return shapeA(id, "nobody") },
			reason: "unroutable", flags: []string{"--recipient", "support@yourapp.example"}, effects: ticket,
		},
		"target": {
			event:  func(id string) fields { return shapeA(id, "nobody") },
			reason: "unroutable", flags: []string{"--destination", "accounting", "--header", "Subject: corrected"},
			effects: map[string]int{"/invoices": 1},
			check: func(t *testing.T, w *world, id string) {
				require.Equal(t, "corrected", w.received(id).Message.Subject)
			},
		},
		"member": {
			event: func(id string) fields {
				return shapeA(id, "support").with(fields{"timestamp": "last Tuesday", "sent": "2026-01-02T03:04:05Z"})
			},
			reason: "schema_invalid", flags: []string{"--field", "sent=timestamp"}, effects: ticket,
		},
		"attachment": {
			event: func(id string) fields {
				return shapeA(id, "support").with(fields{"attachments": []any{
					attached("bad.com", "text/plain", eicar()), attached("good.txt", "text/plain", []byte("good")),
				}})
			},
			reason: "infected", flags: []string{"--drop", "bad.com"}, effects: ticket,
			check: func(t *testing.T, w *world, id string) {
				got := w.received(id).Attachments
				require.Len(t, got, 1)
				require.Equal(t, "good.txt", got[0].Filename)
				require.Equal(t, "clean", got[0].Verdict)
				require.Len(t, w.email(id).Attachments, 2, "it stays with the email")
			},
		},
		"charset": {
			event: func(id string) fields {
				return shapeA(id, "nobody").with(fields{"raw_mime_base64": base64.StdEncoding.EncodeToString(latin)})
			},
			reason: "unroutable", flags: []string{"--charset", "iso-8859-1", "--recipient", "support@yourapp.example"}, effects: ticket,
			check: func(t *testing.T, w *world, id string) {
				require.Equal(t, "crème brûlée", w.received(id).Message.Text)
				require.Equal(t, "café", w.received(id).Message.Subject)
			},
		},
		"one of two deliveries": {
			event:  func(id string) fields { return shapeA(id, "rejecting") },
			before: func(w *world) { w.script(map[string]any{"path": "/rejecting", "status": 422, "count": 1}) },
			reason: "downstream_rejected", flags: []string{"--destination", "accounting", "--destination", "ticketing"},
			effects: map[string]int{"/tickets": 1, "/invoices": 1},
			check: func(t *testing.T, w *world, id string) {
				for _, d := range w.email(id).Deliveries {
					if d.Destination == "ticketing" {
						require.Equal(t, 1, d.Attempts, "a finished delivery is not repeated")
					}
				}
			},
		},
	}
}

// TestEdits holds emails, edits them by mailctl and finds them delivered, with the
// bytes that came in as they were.
func TestEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range editCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			if c.before != nil {
				c.before(w)
			}
			id := newID()
			body := c.event(id).json()
			w.accept(body)
			require.Equal(t, c.reason, w.until(id, "quarantined").Reason)

			flags := append([]string{"emails", "edit", id}, c.flags...)
			require.NotEmpty(t, w.run("mailctl", append(flags, "--dry-run")...))
			require.Equal(t, "quarantined", w.email(id).State, "a dry run decides nothing")
			w.run("mailctl", append(flags, "--note", "end to end")...)
			w.until(id, "delivered")
			require.Equal(t, c.effects, w.effects(id))
			require.Equal(t, string(body), w.run("mailctl", "emails", "raw", id), "the original bytes stay")

			var detail struct {
				Edits []struct {
					Actor     string            `json:"actor"`
					AppliedAt *string           `json:"applied_at"`
					Changes   []json.RawMessage `json:"changes"`
				} `json:"edits"`
			}
			require.Equal(t, http.StatusOK, w.api(http.MethodGet, "/emails/"+url.PathEscape(id), nil, &detail))
			require.Len(t, detail.Edits, 1)
			require.Equal(t, "ada", detail.Edits[0].Actor)
			require.NotNil(t, detail.Edits[0].AppliedAt)
			require.NotEmpty(t, detail.Edits[0].Changes)
			if c.check != nil {
				c.check(t, w, id)
			}
		})
	}
}
