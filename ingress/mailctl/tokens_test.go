package mailctl_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tokensAPI answers like the operator API; what it is asked comes on the channel.
func tokensAPI(t *testing.T) (env map[string]string, asked chan string) {
	t.Helper()
	asked = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- r.Method + " " + r.RequestURI + " " + string(body) + " " + r.Header.Get("X-Mailroom-Client")
		w.Header().Set("Content-Type", "application/json")
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"token":"mrt_x","name":"ci","roles":{"acme":"operator"}}`)
		case http.MethodDelete:
			_, _ = io.WriteString(w, `{"ok":true,"name":"a.b"}`)
		default:
			_, _ = io.WriteString(w, `{"tokens":[
				{"name":"a","state":"valid","roles":{"*":"viewer","acme":"operator"},"created_by":"adam","created_at":"2026-11-01T10:00:00Z","last_used_at":"2026-11-02T10:00:00Z"},
				{"name":"b","state":"expired","roles":{"*":"admin"},"created_by":"adam","created_at":"2026-11-01T10:00:00Z","expires_at":"2026-11-01T11:00:00Z"},
				{"name":"root","state":"valid","configured":true,"ref":"env:ROOT","roles":{"*":"admin"},"owner":"root","created_at":null},
				{"name":"c\u001b[2J","state":"revoked","roles":{"*":"admin"},"created_by":"adam","created_at":"2026-11-01T10:00:00Z","revoked_by":"eve","revoked_at":"2026-11-01T11:00:00Z"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	return map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t0ken"}, asked
}

func TestTokensCreate(t *testing.T) {
	t.Parallel()
	env, asked := tokensAPI(t)
	got := call{args: []string{"tokens", "create", "ci", "--role", "operator", "--tenant", "acme"}, env: env}.done(t)
	require.Equal(t, "mrt_x\n", got, "the text alone, for scripts")
	require.Equal(t, `POST /api/v1/tokens {"name":"ci","roles":{"acme":"operator"}} mailctl`, <-asked)
	call{args: []string{"tokens", "create", "ci", "--role", "admin", "--expires", "720h"}, env: env}.done(t)
	sent := <-asked
	require.Contains(t, sent, `"roles":{"*":"admin"}`)
	require.Contains(t, sent, `"expires_at":"`+time.Now().Add(720*time.Hour).UTC().Format("2006-01-02"))
}

func TestTokensListAndRevoke(t *testing.T) {
	t.Parallel()
	env, asked := tokensAPI(t)
	got := call{args: []string{"tokens", "list"}, env: env}.done(t)
	require.Equal(t, "GET /api/v1/tokens  mailctl", <-asked)
	for _, want := range []string{"*=viewer,acme=operator", "valid", "2026-11-02T10:00:00Z", "expired", "revoked by eve", `c\x1b[2J`} {
		require.Contains(t, got, want)
	}
	require.Regexp(t, `(?m)^root +\*=admin +valid +root +configuration +- +never +-$`, got)
	got = call{args: []string{"tokens", "revoke", "a.b"}, env: env}.done(t)
	require.Equal(t, "a.b is revoked\n", got)
	require.Equal(t, "DELETE /api/v1/tokens/a%2Eb  mailctl", <-asked)
}
