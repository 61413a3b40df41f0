package mailctl_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const previewJSON = `{"step":"inspect","changes":[{"field":"headers.Subject","before":"a\u001b","after":"b"},` +
	`{"field":"attachments[0]","before":"evil.exe","after":""}],"destinations":["ticketing"]}`

// editAPI answers about one email and keeps what was posted.
func editAPI(t *testing.T) (env map[string]string, posted *[]string) {
	t.Helper()
	posted = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"event_id":"e","attachments":[{"filename":"evil.exe","sha256":"`+strings.Repeat("a", 64)+`"},`+
				`{"filename":"two.txt","sha256":"`+strings.Repeat("b", 64)+`"},{"filename":"two.txt","sha256":"`+strings.Repeat("c", 64)+`"}]}`)
		case strings.HasSuffix(r.URL.Path, "/edits/preview"):
			*posted = append(*posted, "preview "+string(body))
			_, _ = io.WriteString(w, previewJSON)
		default:
			*posted = append(*posted, "decide "+string(body))
			_, _ = io.WriteString(w, `{"ok":true,"state":"processing"}`)
		}
	}))
	t.Cleanup(server.Close)
	return map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t0ken"}, posted
}

func TestEmailsEdit(t *testing.T) {
	t.Parallel()
	env, posted := editAPI(t)
	flags := []string{
		"emails", "edit", "e", "--destination", "ticketing", "--recipient", "a@b.example", "--header", "Subject: b, c: d", "--remove-header", "X-A",
		"--charset", "koi8-r", "--drop", "evil.exe", "--drop", strings.Repeat("d", 64), "--field", "rcpt=recipient",
	}
	edit := `{"to":["ticketing"],"recipients":["a@b.example"],"headers":{"Subject":"b, c: d","X-A":null},"charset":"koi8-r",` +
		`"drop":["` + strings.Repeat("a", 64) + `","` + strings.Repeat("d", 64) + `"],"fields":{"rcpt":"recipient"}}`
	got := call{args: append(slices.Clone(flags), "--dry-run"), env: env}.run(t)
	require.Equal(t, 0, got.code, got.stderr)
	require.Equal(t, "headers.Subject  - a\\x1b\n                 + b\nattachments[0]   - evil.exe\n                 + \n"+
		"runs again from  inspect\ngoes to          ticketing\n", got.stdout)
	require.Len(t, *posted, 1, "a dry run decides nothing")
	require.JSONEq(t, `{"edit":`+edit+`}`, strings.TrimPrefix((*posted)[0], "preview "))

	got = call{args: append(slices.Clone(flags), "--note", "why"), env: env}.run(t)
	require.Equal(t, 0, got.code, got.stderr)
	require.True(t, strings.HasSuffix(got.stdout, "e\tedit\tprocessing\n"), got.stdout)
	require.Len(t, *posted, 3)
	require.JSONEq(t, `{"action":"edit","note":"why","edit":`+edit+`}`, strings.TrimPrefix((*posted)[2], "decide "))

	got = call{args: []string{"emails", "edit", "e", "--destination", "x", "--dry-run", "-o", "json"}, env: env}.run(t)
	require.JSONEq(t, previewJSON, got.stdout)
	got = call{args: []string{"emails", "edit", "e", "--destination", "x", "--note", "n", "-o", "json"}, env: env}.run(t)
	require.True(t, json.Valid([]byte(got.stdout)), "one JSON text: %s", got.stdout)
}

// --to was a destination here and a recipient everywhere else.
func TestEmailsEditToIsARecipient(t *testing.T) {
	t.Parallel()
	env, posted := editAPI(t)
	call{args: []string{"emails", "edit", "e", "--to", "a@b.example,Bo <b@b.example>", "--recipient", "c@b.example", "--dry-run"}, env: env}.done(t)
	require.JSONEq(t, `{"edit":{"recipients":["a@b.example","b@b.example","c@b.example"]}}`, strings.TrimPrefix((*posted)[0], "preview "))
}

func TestEmailsEditMistakes(t *testing.T) {
	t.Parallel()
	env, posted := editAPI(t)
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--destination", "x"}, 2, "--note: say why"},
		{[]string{"--note", "n", "--to", "ticketing"}, 2, "--to: ticketing is no address; name a destination with --destination"},
		{[]string{"--note", "n", "--recipient", "a b@c"}, 2, "--recipient: a b@c is no address"},
		{[]string{"--note", "n"}, 2, "the edit changes nothing"},
		{[]string{"--note", "n", "--header", "Subject"}, 2, "'Name: value'"},
		{[]string{"--note", "n", "--header", "A: 1", "--header", "A: 2"}, 2, "each name once"},
		{[]string{"--note", "n", "--header", "A: 1", "--remove-header", "A"}, 2, "not in --header as well"},
		{[]string{"--note", "n", "--field", "rcpt"}, 2, "as from=to"},
		{[]string{"--note", "n", "--drop", "none.txt"}, 1, "0 attachments of this email are called none.txt"},
		{[]string{"--note", "n", "--drop", "two.txt"}, 1, "2 attachments of this email are called two.txt"},
	} {
		got := call{args: append([]string{"emails", "edit", "e"}, row.args...), env: env}.run(t)
		require.Equal(t, row.code, got.code, row.args)
		require.Contains(t, got.stderr, row.want)
	}
	require.Empty(t, *posted)
}
