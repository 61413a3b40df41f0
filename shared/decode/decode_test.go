package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
	"mailroom/shared/payload"
)

// b64 encodes bytes as in JSON.
func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// body is a small event of shape A with fields added or replaced.
func body(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	e := map[string]any{
		"event_id": "evt-1", "subject": "the provider's subject", "text": "the provider's text",
		"envelope":  map[string]any{"mail_from": "bounce@sender.example", "rcpt_to": []string{"support@x.example"}},
		"sender":    []any{map[string]any{"address": "ann@sender.example"}},
		"recipient": []any{map[string]any{"address": "list@x.example"}},
	}
	for k, v := range fields {
		e[k] = v
	}
	out, err := json.Marshal(e)
	require.NoError(t, err)
	return out
}

const rawMail = "From: Ann <ann@sender.example>\r\nTo: other@x.example\r\nSubject: the mail's subject\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nthe mail's text\r\n" +
	"--b\r\nContent-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--b--\r\n"

func TestRawMailWins(t *testing.T) {
	t.Parallel()
	e, holds := Decoder{}.Decode(body(t, map[string]any{
		"raw_mime_base64": b64(rawMail),
		"attachments": []any{
			map[string]any{"filename": "provider.csv", "url": "https://files.example/x"},
			map[string]any{"filename": "broken.csv", "content_base64": "%%%"},
		},
	}), nil)
	require.Empty(t, holds, "the bytes are in the raw mail")
	require.Equal(t, "the mail's subject", e.Message.Subject)
	require.Contains(t, e.Message.Text, "the mail's text")
	require.Len(t, e.Attachments, 1)
	require.Equal(t, "a.csv", e.Attachments[0].Filename)
	require.Equal(t, "1,2", strings.TrimSpace(string(e.Attachments[0].Content)))
	require.Equal(t, []string{"support@x.example"}, e.Recipients(), "the envelope stays")
	require.Equal(t, "bounce@sender.example", e.Envelope.MailFrom)
	require.Equal(t, rawMail, string(e.RawMIME), "it is kept to be stored")
}

// TestRawMailDoesNotChooseTheRecipients: the ingress and the rules see the same ones.
func TestRawMailDoesNotChooseTheRecipients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields map[string]any
		want   []string
	}{
		"recipients alone": {map[string]any{"envelope": nil}, []string{"list@x.example"}},
		"an envelope without recipients": {
			map[string]any{"envelope": map[string]any{"mail_from": "bounce@sender.example"}}, []string{"list@x.example"},
		},
		"a mailbox":   {map[string]any{"envelope": nil, "mailbox": "box@x.example"}, []string{"box@x.example"}},
		"an envelope": {nil, []string{"support@x.example"}},
		"only the mail knows": {
			map[string]any{"envelope": nil, "recipient": nil}, []string{"other@x.example"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{"raw_mime_base64": b64(rawMail)}
			for k, v := range c.fields {
				fields[k] = v
			}
			text := body(t, fields)
			e, holds := Decoder{}.Decode(text, nil)
			require.Empty(t, holds)
			require.Equal(t, "the mail's subject", e.Message.Subject)
			require.Equal(t, c.want, e.Recipients())
			head, err := payload.Peek(bytes.NewReader(text), payload.Options{})
			require.NoError(t, err)
			if len(head.Recipients) > 0 {
				require.Equal(t, head.Recipients, e.Recipients())
			}
		})
	}
}

func TestProviderFieldsServeWithoutRawMail(t *testing.T) {
	t.Parallel()
	e, holds := Decoder{}.Decode(body(t, map[string]any{
		"attachments": []any{map[string]any{"filename": "a.txt", "content_base64": b64("abc")}},
	}), nil)
	require.Empty(t, holds)
	require.Equal(t, "the provider's subject", e.Message.Subject)
	require.Equal(t, "abc", string(e.Attachments[0].Content))
}

func TestHolds(t *testing.T) {
	t.Parallel()
	deep := func(levels int) string {
		b := "Subject: deep\r\nContent-Type: multipart/mixed; boundary=in000\r\n\r\n"
		for i := range levels {
			b += fmt.Sprintf("--in%03d\r\nContent-Type: multipart/mixed; boundary=in%03d\r\n\r\n", i, i+1)
		}
		return b
	}
	passed := func(hosts int) string {
		return strings.Repeat("Received: from a.example by b.example; Sun, 22 Nov 2026 10:00:00 +0000\r\n", hosts) +
			"Subject: round\r\n\r\ntext"
	}
	headers := func(name string, n int) map[string]any {
		return map[string]any{name: slices.Repeat([]string{"x"}, n)}
	}
	for name, c := range map[string]struct {
		fields map[string]any
		want   []contract.Reason
		says   string
	}{
		"attachment that is no base64": {
			map[string]any{"attachments": []any{map[string]any{"filename": "CANARY.txt", "content_base64": "%%%"}}},
			[]contract.Reason{contract.SchemaInvalid}, "attachments[0]",
		},
		"several fields": {
			map[string]any{"raw_mime_base64": "%%%", "attachments": []any{map[string]any{"filename": "a", "content_base64": "%%%"}}},
			[]contract.Reason{contract.SchemaInvalid}, "(and 1 more)",
		},
		"a breach before what is only bad": {
			map[string]any{"timestamp": "CANARY", "attachments": []any{map[string]any{"filename": "a", "content_base64": "%%%", "size": "CANARY"}}},
			[]contract.Reason{contract.SchemaInvalid}, "attachments[0].size must be a number (and 2 more)",
		},
		"a breach although the raw mail is read": {
			map[string]any{"raw_mime_base64": b64(rawMail), "attachments": []any{map[string]any{"size": []any{"CANARY"}}}},
			[]contract.Reason{contract.SchemaInvalid}, "attachments[0].size must be a number",
		},
		"a header by a name of the sender's": {
			map[string]any{"headers": map[string]any{"a": "b", "x-CANARY": 7}},
			[]contract.Reason{contract.SchemaInvalid}, "headers, field 2 must be a string or a list of strings",
		},
		"too many header fields": {
			map[string]any{"headers": headers("x", 2000)},
			[]contract.Reason{contract.SchemaInvalid}, "headers has 2,000 fields, more than 1,000",
		},
		"very many breaches": {
			map[string]any{"to": slices.Repeat([]any{7}, 11_000)},
			[]contract.Reason{contract.SchemaInvalid}, "to[0] must be an object or a string (and 10000 more)",
		},
		"attachment by link": {
			map[string]any{"attachments": []any{
				map[string]any{"filename": "a", "content_base64": b64("a")},
				map[string]any{"filename": "CANARY", "url": "https://CANARY.example/x"},
				map[string]any{"filename": "c", "url": "https://CANARY.example/y"},
			}},
			[]contract.Reason{contract.AttachmentUnfetchable}, "attachment 2 of 3 is behind a link, and links are not fetched (and 1 more)",
		},
		"raw mail by link": {
			map[string]any{"raw_mime_url": "https://CANARY.example/x"},
			[]contract.Reason{contract.AttachmentUnfetchable}, "raw mail",
		},
		"mail too deep": {
			map[string]any{"raw_mime_base64": b64(deep(30))},
			[]contract.Reason{contract.MIMEMalformed}, "cannot be parsed: ",
		},
		"mail too deep with a link": {
			map[string]any{
				"raw_mime_base64": b64(deep(30)),
				"attachments":     []any{map[string]any{"filename": "a", "url": "https://CANARY.example/x"}},
			},
			[]contract.Reason{contract.MIMEMalformed, contract.AttachmentUnfetchable}, "",
		},
		"101 hosts":     {map[string]any{"raw_mime_base64": b64(passed(101))}, []contract.Reason{contract.LoopDetected}, "101 hosts"},
		"100 hosts":     {map[string]any{"raw_mime_base64": b64(passed(100))}, nil, ""},
		"101 in fields": {map[string]any{"headers": headers("received", 101)}, []contract.Reason{contract.LoopDetected}, "101 hosts"},
		"100 in fields": {map[string]any{"headers": headers("received", 100)}, nil, ""},
		// Only the ledger knows whether a mark names an email of this installation.
		"a mark": {map[string]any{"headers": headers("X-Mailroom-Event-Id", 1)}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, holds := Decoder{}.Decode(body(t, c.fields), nil)
			var got []contract.Reason
			for _, h := range holds {
				got = append(got, h.Reason)
				require.NotContains(t, h.Detail, "CANARY", "no mail content in a hold")
				require.NotEmpty(t, h.Detail)
			}
			require.Equal(t, c.want, got)
			if c.says != "" {
				require.Contains(t, holds[0].Detail, c.says)
			}
			require.Equal(t, "evt-1", e.ID)
			if c.want != nil && e.Message.Subject != "" {
				require.Equal(t, []string{"support@x.example"}, e.Recipients())
			}
		})
	}
}

// TestMailBeyondALimitKeepsWhatCanBeRead: an approved mail continues with what comes
// before the limit, and with what the provider extracted beyond it.
func TestMailBeyondALimitKeepsWhatCanBeRead(t *testing.T) {
	t.Parallel()
	raw := "Subject: the mail's subject\r\n" + strings.Repeat("X-Field: "+strings.Repeat("a", 100)+"\r\n", 2000) +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthe mail's text\r\n" +
		"--b\r\nContent-Type: a/b; name=b.txt\r\n\r\ndef\r\n--b--\r\n"
	e, holds := Decoder{}.Decode(body(t, map[string]any{
		"raw_mime_base64": b64(raw),
		"attachments": []any{
			map[string]any{"filename": "a.txt", "content_base64": b64("abc")},
			map[string]any{"filename": "b.txt", "content_base64": b64("def")},
		},
	}), nil)
	require.Len(t, holds, 1)
	require.Equal(t, contract.MIMEMalformed, holds[0].Reason)
	require.Equal(t, "the raw mail cannot be parsed: a header has more than 1,000 fields; what stands before that is kept", holds[0].Detail)
	require.Equal(t, "the mail's subject", e.Message.Subject)
	require.Equal(t, "the mail's text", e.Message.Text)
	require.Equal(t, "ann@sender.example", e.Message.From[0].Address, "the mail has none")
	require.Equal(t, []string{"support@x.example"}, e.Recipients())
	require.Contains(t, e.Message.Defects, "bound_exceeded")
	require.Len(t, e.Attachments, 2)
	require.Equal(t, "def", string(e.Attachments[0].Content))
	require.Equal(t, "abc", string(e.Attachments[1].Content))
	require.Equal(t, raw, string(e.RawMIME))
}

func TestUnreadableRawMailKeepsTheProvidersFields(t *testing.T) {
	t.Parallel()
	e, holds := Decoder{}.Decode(body(t, map[string]any{
		"raw_mime_base64": b64("\r\n\r\n"),
		"attachments":     []any{map[string]any{"filename": "a.txt", "content_base64": b64("abc")}},
	}), nil)
	require.Equal(t, contract.MIMEMalformed, holds[0].Reason)
	require.Equal(t, "the provider's subject", e.Message.Subject)
	require.Len(t, e.Attachments, 1)
}

func TestWhatIsNoEventIsEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "[]", `{"id":1}`, "\xff", `{"id":"a","CANARY":1,"CANARY":2}`} {
		e, holds := Decoder{}.Decode([]byte(text), nil)
		require.Equal(t, &mail.Event{}, e)
		require.Len(t, holds, 1)
		require.Equal(t, contract.SchemaInvalid, holds[0].Reason)
		require.NotContains(t, holds[0].Detail, "CANARY")
	}
}
