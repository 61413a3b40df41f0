package mailctl_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/signing"
)

const body = `{"event_id":"evt_1"}` + "\n"

func TestSign(t *testing.T) {
	t.Parallel()
	path := file(t, "event.json", body)
	want := signing.TimestampHMAC("s3cret", "1700000000", []byte(body))
	for name, c := range map[string]call{
		"environment": {args: []string{"sign", path}, env: map[string]string{"WEBHOOK_SECRET": "s3cret"}},
		"file":        {args: []string{"sign", path, "--secret-file", file(t, "secret", "s3cret\n")}, env: map[string]string{"WEBHOOK_SECRET": "other"}},
		"stdin":       {args: []string{"sign", "-"}, stdin: body, env: map[string]string{"WEBHOOK_SECRET": "s3cret"}},
	} {
		c.args = append(c.args, "--timestamp", "1700000000")
		require.Equal(t, "X-Webhook-Timestamp: 1700000000\nX-Webhook-Signature: "+want+"\n", c.done(t), name)
		c.args = append(c.args, "-o", "json")
		require.JSONEq(t, `{"timestamp":"1700000000","signature":"`+want+`"}`, c.done(t), name)
	}
	// Development's secret serves loopback alone; TestUsage has the other half.
	dev := signing.TimestampHMAC("dev-webhook-secret", "1", []byte(body))
	for _, url := range []string{"http://localhost:1/x", "http://[::1]/x", "http://127.8.8.8/x"} {
		require.Contains(t, call{args: []string{"sign", path, "--timestamp", "1"}, env: map[string]string{"MAILROOM_URL": url}}.done(t), dev)
	}
	require.Regexp(t, regexp.MustCompile(`^X-Webhook-Timestamp: \d{10}\n`), call{args: []string{"sign", path}}.done(t))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	path := file(t, "event.json", body)
	env := map[string]string{"WEBHOOK_SECRET": "s3cret"}
	good := signing.TimestampHMAC("s3cret", "1700000000", []byte(body))
	for _, row := range []struct {
		name, timestamp, signature, tolerance, code string
	}{
		{"good", "1700000000", good, "", ""},
		{"upper case", "1700000000", strings.ToUpper(good), "", ""},
		{"prefix", "1700000000", "v1=" + good, "", ""},
		{"list", "1700000000", "sha256=" + strings.Repeat("0", 64) + ", v1=" + good, "", ""},
		{"wrong", "1700000000", strings.Repeat("0", 64), "", "signature_invalid"},
		{"short", "1700000000", good[:10], "", "signature_invalid"},
		{"empty", "1700000000", "", "", "signature_invalid"},
		{"other timestamp", "1700000001", good, "", "signature_invalid"},
		{"no timestamp", "NaN", good, "", "timestamp_invalid"},
		{"old", "1700000000", good, "5m", "timestamp_stale"},
	} {
		args := []string{"verify", path, "--timestamp", row.timestamp, "--signature", row.signature}
		if row.tolerance != "" {
			args = append(args, "--tolerance", row.tolerance)
		}
		text := call{args: args, env: env}.run(t)
		asJSON := call{args: append(args, "-o", "json"), env: env}.run(t)
		var verdict struct {
			Valid bool   `json:"valid"`
			Error string `json:"error"`
		}
		require.NoError(t, json.Unmarshal([]byte(asJSON.stdout), &verdict), row.name)
		require.Equal(t, row.code == "", verdict.Valid, row.name)
		require.Equal(t, row.code, verdict.Error, row.name)
		if row.code == "" {
			require.Equal(t, outcome{0, "the signature is valid\n", ""}, text, row.name)
			require.Equal(t, 0, asJSON.code)
			continue
		}
		require.Equal(t, 1, text.code, row.name)
		require.Equal(t, 1, asJSON.code, row.name)
		require.Empty(t, text.stdout, row.name)
		requireOneLine(t, text.stderr)
	}
}

func TestSignThenVerify(t *testing.T) {
	t.Parallel()
	path := file(t, "b", "\x00\xff bytes")
	var headers struct{ Timestamp, Signature string }
	require.NoError(t, json.Unmarshal([]byte(call{args: []string{"sign", path, "-o", "json"}}.done(t)), &headers))
	call{args: []string{"verify", path, "--timestamp", headers.Timestamp, "--signature", headers.Signature, "--tolerance", "5m"}}.done(t)
}
