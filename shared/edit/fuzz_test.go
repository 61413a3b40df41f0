package edit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// FuzzEdit checks that an edit is either refused in printable words or results in an
// email that a provider could have sent: bounded, clean, without a line break in a header.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"to":["ticketing"]}`, `{"recipients":["a@b.example"]}`, `{"headers":{"Subject":"x\r\ny","From":null}}`,
		`{"headers":{"From":"=?utf-16?b?AAD/?= <a@b>","Date":"Mon, 2 Jan 2006 15:04:05 -0700","To":"g:;"}}`,
		`{"charset":"x-user-defined"}`, `{"drop":["` + strings.Repeat("A", 64) + `"]}`, `{"fields":{"a":"to","b":"to"}}`,
		`{"recipients":["\"a\\\u0000b\"@c"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var e contract.Edit
		if json.Unmarshal(text, &e) != nil {
			return
		}
		if err := edit.Validate(e, known()); err != nil {
			require.True(t, fault.Is(err, fault.RequestInvalid))
			public := fault.From(err).Public
			require.True(t, utf8.ValidString(public))
			require.NotContains(t, public, "\n")
			require.Less(t, len(public), 8<<10)
			return
		}
		before := picture()
		after := before.Apply(e)
		require.Equal(t, picture(), before)
		require.Equal(t, after, after.Apply(e), "an edit laid over twice is the same")
		require.Equal(t, e.To, append(edit.Merge(e).To, e.To[:0]...))
		require.Equal(t, edit.Step(e), edit.Step(edit.Merge(e)))
		checkClean(t, after)
		for _, c := range edit.Diff(before, after) {
			require.NotEqual(t, c.Before, c.After)
			require.True(t, utf8.ValidString(c.Field+c.Before+c.After))
			require.Less(t, len(c.Before)+len(c.After), 2<<10)
		}
	})
}

func checkClean(t *testing.T, p edit.Picture) {
	t.Helper()
	m := p.Message
	texts := append([]string{p.Manifest.Sender, p.Manifest.Subject, m.Subject, m.MessageID}, p.Manifest.Recipients...)
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc, m.ReplyTo} {
		for _, a := range list {
			texts = append(texts, a.Address, a.Name)
		}
	}
	for _, h := range m.Headers {
		require.NotContains(t, h.Name+h.Value, "\n")
		texts = append(texts, h.Name, h.Value)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("not clean text: %q", s)
		}
	}
}
