package mailctl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMIME(t *testing.T) {
	t.Parallel()
	raw := strings.Join([]string{
		"From: Ada <ada@example.com>", "To: x@yourapp.example, y@yourapp.example",
		"Subject: hi \u202e\u009b[31m", "Content-Type: multipart/mixed; boundary=b", "",
		"--b", "Content-Type: text/plain; charset=utf-8", "", "hello",
		"--b", "Content-Type: image/png", "Content-ID: <c1>", "Content-Disposition: attachment; filename=a.png",
		"Content-Transfer-Encoding: base64", "", "cG5nIQ==", "--b--", "",
	}, "\r\n")
	path := file(t, "a.eml", raw)
	const want = `{"subject":"hi \u202e\u009b[31m","from":[{"address":"ada@example.com","name":"Ada"}],
		"to":[{"address":"x@yourapp.example","name":""},{"address":"y@yourapp.example","name":""}],"cc":[],
		"text":"hello","html":"","attachments":[{"filename":"a.png","content_type":"image/png","content_id":"c1","size":4,
		"sha256":"53ec22c455168e29791219d4017c53b8203153e83853cc7a232b4ab446a8c6b7"}]}`
	for _, c := range []call{
		{args: []string{"mime", path}}, {args: []string{"mime", "-o", "json", path}}, {args: []string{"mime", "-"}, stdin: raw},
	} {
		got := c.done(t)
		require.NotContains(t, got, "\u202e")
		require.NotContains(t, got, "\u009b")
		require.JSONEq(t, want, got)
		if c.args[1] == "-o" {
			require.Equal(t, 1, strings.Count(got, "\n"))
		}
	}
}
