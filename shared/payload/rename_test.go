package payload

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

func TestRename(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		rename map[string]string
		want   func(t *testing.T, e *mail.Event)
		code   fault.Code
	}{
		"a member under another name": {
			body: `{"event_id":"e","rcpt":["a@b.example"]}`, rename: map[string]string{"rcpt": "recipient"},
			want: func(t *testing.T, e *mail.Event) {
				require.Equal(t, []string{"a@b.example"}, e.Recipients())
				require.Zero(t, e.Unknown)
			},
		},
		"takes the place": {
			body: `{"recipient":7,"event_id":"e","rcpt":["a@b.example"]}`, rename: map[string]string{"rcpt": "recipient"},
			want: func(t *testing.T, e *mail.Event) { require.Equal(t, []string{"a@b.example"}, e.Recipients()) },
		},
		"a missing one replaces no other": {
			body: `{"event_id":"e","recipient":["a@b.example"]}`, rename: map[string]string{"rcpt": "recipient"},
			want: func(t *testing.T, e *mail.Event) { require.Equal(t, []string{"a@b.example"}, e.Recipients()) },
		},
		"the two change places": {
			body: `{"event_id":"e","subject":"t","text":"s"}`, rename: map[string]string{"subject": "text", "text": "subject"},
			want: func(t *testing.T, e *mail.Event) {
				require.Equal(t, "s", e.Message.Subject)
				require.Equal(t, "t", e.Message.Text)
			},
		},
		"an id": {
			body: `{"eventId":"e","subject":"t"}`, rename: map[string]string{"eventId": "event_id"},
			want: func(t *testing.T, e *mail.Event) { require.Equal(t, "e", e.ID) },
		},
		"escaped": {
			body: `{"event_id":"e","s\u0075bj":"t"}`, rename: map[string]string{"subj": "subject"},
			want: func(t *testing.T, e *mail.Event) { require.Equal(t, "t", e.Message.Subject) },
		},
		"not below the top": {
			body: `{"event_id":"e","envelope":{"rcpt":["a@b.example"]}}`, rename: map[string]string{"rcpt": "rcpt_to"},
			want: func(t *testing.T, e *mail.Event) { require.Empty(t, e.Recipients()); require.Equal(t, 1, e.Unknown) },
		},
		"the type still counts": {
			body: `{"event_id":"e","rcpt":7}`, rename: map[string]string{"rcpt": "recipient"},
			want: func(t *testing.T, e *mail.Event) { require.Len(t, e.Problems, 1) },
		},
		"a name twice is still one too many": {
			body: `{"event_id":"e","rcpt":[],"rcpt":[]}`, rename: map[string]string{"rcpt": "recipient"}, code: fault.JSONMalformed,
		},
		"what is passed over is still read": {
			body:   `{"event_id":"e","rcpt":[],"recipient":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
			rename: map[string]string{"rcpt": "recipient"},
			want:   func(t *testing.T, e *mail.Event) { require.Len(t, e.Problems, 1) },
		},
		"no object": {body: `[1]`, rename: map[string]string{"rcpt": "recipient"}, code: fault.JSONMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := Decode([]byte(c.body), Options{Rename: c.rename})
			if c.code != "" {
				require.True(t, fault.Is(err, c.code), "%v", err)
				return
			}
			require.NoError(t, err)
			c.want(t, e)
		})
	}
}

func TestMistakesOfARenamedMemberBearItsOwnName(t *testing.T) {
	t.Parallel()
	e, err := Decode([]byte(`{"event_id":"e","rcpt":7}`), Options{Rename: map[string]string{"rcpt": "recipient"}})
	require.NoError(t, err)
	require.Equal(t, []mail.Problem{{Field: "rcpt", Detail: "must be an array", Breach: true}}, e.Problems)
}

func FuzzRename(f *testing.F) {
	f.Add([]byte(`{"event_id":"e","rcpt":["a@b"],"recipient":1}`), "rcpt", "recipient")
	f.Add([]byte(`{"a":{"a":1},"a":2}`), "a", "event_id")
	f.Fuzz(func(t *testing.T, body []byte, from, to string) {
		e, err := Decode(body, Options{Rename: map[string]string{from: to}})
		if err != nil {
			require.NotNil(t, fault.From(err))
			return
		}
		require.NotEmpty(t, e.ID)
		if present(map[string]string{from: to}, body) == nil {
			same, err := Decode(body, Options{})
			require.NoError(t, err)
			require.Equal(t, same, e)
		}
	})
}
