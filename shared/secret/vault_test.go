package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeVault speaks the part of Vault's HTTP API that reading needs: KV v2
// (GET /v1/<mount>/data/<path>) and the token's own lookup and renewal.
type fakeVault struct {
	mu      sync.Mutex
	token   string
	data    map[string]map[string]any // path below /v1/ → data; nil data: the version is deleted
	status  int                       // 0: answer as it should
	hang    chan struct{}
	version int
	renewed int
	seen    []string // tokens and namespaces of readings
}

func newVault(t *testing.T, c options) (*fakeVault, bundle) {
	t.Helper()
	v := &fakeVault{token: "root-token", data: map[string]map[string]any{}}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", v.token)
	t.Setenv("VAULT_MAX_RETRIES", "0")
	if c.VaultRefresh == 0 {
		c.VaultRefresh = 5 * time.Millisecond
	}
	return v, setup(t, c)
}

func (v *fakeVault) set(path string, data map[string]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.data[path] = data
	v.version++
}

func (v *fakeVault) answer(status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status = status
}

func (v *fakeVault) renewals() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.renewed
}

func (v *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hang != nil {
		hang := v.hang
		v.mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		v.mu.Lock()
	}
	w.Header().Set("Content-Type", "application/json")
	say := func(status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	switch {
	case v.status != 0:
		say(v.status, map[string]any{"errors": []string{"internal: hunter2"}})
	case r.Header.Get("X-Vault-Token") != v.token, r.Header.Get("X-Vault-Request") != "true":
		say(403, map[string]any{"errors": []string{"permission denied", "hunter2"}})
	case r.Method == http.MethodGet && r.URL.Path == "/v1/auth/token/lookup-self":
		say(200, map[string]any{"data": map[string]any{"id": v.token, "ttl": 3600, "renewable": true}})
	case r.Method == http.MethodPut && r.URL.Path == "/v1/auth/token/renew-self":
		v.renewed++
		say(200, map[string]any{"auth": map[string]any{"client_token": v.token, "renewable": true, "lease_duration": 3600}})
	case r.Method == http.MethodGet:
		v.seen = append(v.seen, r.Header.Get("X-Vault-Token")+" "+r.Header.Get("X-Vault-Namespace"))
		data, ok := v.data[strings.TrimPrefix(r.URL.Path, "/v1/")]
		meta := map[string]any{"version": v.version, "created_time": "2026-11-24T00:00:00Z", "deletion_time": "", "destroyed": false}
		switch {
		case !ok:
			say(404, map[string]any{"errors": []string{}})
		case data == nil:
			meta["deletion_time"] = "2026-11-24T01:00:00Z"
			say(404, map[string]any{"data": map[string]any{"data": nil, "metadata": meta}})
		default:
			say(200, map[string]any{"request_id": "r", "data": map[string]any{"data": data, "metadata": meta}})
		}
	default:
		say(405, map[string]any{"errors": []string{"unsupported operation"}})
	}
}

func TestVaultRotates(t *testing.T) {
	v, b := newVault(t, options{})
	v.set("kv/data/apps/mail", map[string]any{"webhook": "one\n", "other": "x"})
	s := b.resolve(t, "vault:kv/apps/mail#webhook")
	require.Equal(t, "one", s.Reveal())
	require.Equal(t, "x", b.resolve(t, "vault:kv/apps/mail#other").Reveal())
	b.watch(t)
	require.Eventually(t, func() bool { return v.renewals() > 0 }, soon, tick)
	v.set("kv/data/apps/mail", map[string]any{"webhook": "two", "other": "x"})
	shows(t, s, "two")
	b.logged(t, "secret.renewed", 1)

	v.set("kv/data/late", map[string]any{"f": "three"})
	late := b.resolve(t, "vault:kv/late#f") // while Watch runs
	v.set("kv/data/late", map[string]any{"f": "four"})
	shows(t, late, "four")
}

func TestVaultIsLostAndComesBack(t *testing.T) {
	v, b := newVault(t, options{})
	v.set("kv/data/a", map[string]any{"f": "one"})
	ref := "vault:kv/a#f"
	s := b.resolve(t, ref)
	b.watch(t)
	for _, lose := range []func(){
		func() { v.answer(503) },
		func() { v.answer(403) },
		func() { v.set("kv/data/a", nil) },
		func() { v.set("kv/data/a", map[string]any{"g": "hunter2"}) },
		func() { v.set("kv/data/a", map[string]any{"f": ""}) },
		func() { v.set("kv/data/a", map[string]any{"f": 7}) },
	} {
		lose()
		b.fails(t, ref, true)
		require.Equal(t, "one", s.Reveal())
		require.Equal(t, 1.0, b.metric(t, "mailroom_secret_failing", ref))
		v.set("kv/data/a", map[string]any{"f": "one"})
		v.answer(0)
		b.fails(t, ref, false)
	}
	b.logged(t, "secret.failing", 6)
	b.logged(t, "secret.recovered", 6)
	require.Zero(t, b.logs.count("secret.renewed"))
	v.set("kv/data/a", map[string]any{"f": "two"})
	shows(t, s, "two")
	require.NotContains(t, b.logs.String(), "hunter2")
	require.NotContains(t, b.logs.String(), "root-token")
}

func TestVaultFailuresAreNamed(t *testing.T) {
	v, b := newVault(t, options{})
	v.set("kv/data/a", map[string]any{"f": "one", "n": 7, "e": "\n"})
	v.set("kv/data/gone", nil)
	for ref, want := range map[string]string{
		"vault:kv/a#x":    "vault:kv/a#x cannot be read: the secret has no field of that name",
		"vault:kv/a#n":    "vault:kv/a#n cannot be read: the field is not text",
		"vault:kv/a#e":    "vault:kv/a#e resolves to nothing: it is empty",
		"vault:kv/b#f":    "vault:kv/b#f resolves to nothing: vault has no secret there, or the mount is not of KV version 2",
		"vault:kv/gone#f": "vault:kv/gone#f resolves to nothing: the latest version in vault is deleted",
	} {
		_, err := b.Resolve(t.Context(), ref)
		require.EqualError(t, err, want)
	}
	for _, status := range []int{400, 403, 429, 500, 503} {
		v.answer(status)
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.EqualError(t, err, fmt.Sprintf("vault:kv/a#f cannot be read: vault answered %d", status))
	}
	v.answer(0)
	require.Equal(t, "one", b.resolve(t, "vault:kv/a#f").Reveal(), "a first reading that failed may be repeated")
}

func TestVaultLargeSecretIsRefused(t *testing.T) {
	v, b := newVault(t, options{})
	v.set("kv/data/a", map[string]any{"f": strings.Repeat("x", maxText+1)})
	_, err := b.Resolve(t.Context(), "vault:kv/a#f")
	require.EqualError(t, err, "vault:kv/a#f is larger than 64KiB")
}

func TestVaultThatIsNotThere(t *testing.T) {
	_, b := newVault(t, options{})
	server := httptest.NewServer(nil)
	t.Setenv("VAULT_ADDR", server.URL)
	server.Close()
	_, err := b.Resolve(t.Context(), "vault:kv/a#f")
	require.ErrorContains(t, err, "vault:kv/a#f cannot be read: vault cannot be reached: dial tcp")
}

func TestVaultThatHangs(t *testing.T) {
	v, b := newVault(t, options{Timeout: 50 * time.Millisecond})
	v.set("kv/data/a", map[string]any{"f": "one"})
	v.hang = make(chan struct{})
	began := time.Now()
	_, err := b.Resolve(t.Context(), "vault:kv/a#f")
	require.EqualError(t, err, "vault:kv/a#f cannot be read: vault did not answer in time")
	require.Less(t, time.Since(began), soon)
	close(v.hang)
	require.Equal(t, "one", b.resolve(t, "vault:kv/a#f").Reveal())
}

func TestVaultSettings(t *testing.T) {
	t.Run("no address", func(t *testing.T) {
		_, b := newVault(t, options{})
		t.Setenv("VAULT_ADDR", "")
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.EqualError(t, err, "vault:kv/a#f cannot be read: VAULT_ADDR is not set")
	})
	t.Run("no token", func(t *testing.T) {
		_, b := newVault(t, options{})
		t.Setenv("VAULT_TOKEN", "")
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.ErrorContains(t, err, "vault answered 403, and neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set")
	})
	t.Run("credential in the address", func(t *testing.T) {
		_, b := newVault(t, options{})
		t.Setenv("VAULT_ADDR", "http://u:hunter2@h:port")
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.ErrorContains(t, err, "settings of the Vault client")
		require.NotContains(t, err.Error(), "hunter2")
	})
	t.Run("authority that is no file", func(t *testing.T) {
		_, b := newVault(t, options{})
		t.Setenv("VAULT_CACERT", "/nonexistent/ca.pem")
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.ErrorContains(t, err, "settings of the Vault client (VAULT_*)")
	})
	t.Run("namespace", func(t *testing.T) {
		v, b := newVault(t, options{})
		t.Setenv("VAULT_NAMESPACE", "team/a")
		v.set("kv/data/a", map[string]any{"f": "one"})
		b.resolve(t, "vault:kv/a#f")
		require.Equal(t, []string{"root-token team/a"}, v.seen)
	})
	t.Run("authority", func(t *testing.T) {
		v, b := newVault(t, options{})
		server := httptest.NewTLSServer(v)
		defer server.Close()
		server.Config.ErrorLog = nil
		t.Setenv("VAULT_ADDR", server.URL)
		v.set("kv/data/a", map[string]any{"f": "one"})
		_, err := b.Resolve(t.Context(), "vault:kv/a#f")
		require.ErrorContains(t, err, "the certificate of vault is not trusted")

		path := filepath.Join(t.TempDir(), "ca.pem")
		write(t, path, certificate(server))
		t.Setenv("VAULT_CACERT", path)
		trusting := setup(t, options{})
		require.Equal(t, "one", trusting.resolve(t, "vault:kv/a#f").Reveal())
	})
}

func TestVaultTokenFileFollows(t *testing.T) {
	v, b := newVault(t, options{})
	path := filepath.Join(t.TempDir(), "token")
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("VAULT_TOKEN_FILE", path)
	_, err := b.Resolve(t.Context(), "vault:kv/a#f")
	require.EqualError(t, err, "vault:kv/a#f cannot be read: the token in VAULT_TOKEN_FILE cannot be read")

	write(t, path, "root-token\n")
	v.set("kv/data/a", map[string]any{"f": "one"})
	s := b.resolve(t, "vault:kv/a#f")
	b.watch(t)
	v.mu.Lock()
	v.token = "another-token"
	v.mu.Unlock()
	b.fails(t, "vault:kv/a#f", true)
	replace(t, path, "another-token\n")
	b.fails(t, "vault:kv/a#f", false)
	require.NoError(t, os.Remove(path))
	v.set("kv/data/a", map[string]any{"f": "two"})
	shows(t, s, "two")
	require.NotContains(t, b.logs.String(), "another-token")
}

// An expected secret that Vault does not have yet appears with a later reading.
func TestVaultExpected(t *testing.T) {
	v, b := newVault(t, options{})
	s, there, err := b.Expect(t.Context(), "vault:kv/previous#f")
	require.NoError(t, err)
	require.False(t, there)
	b.watch(t)
	v.set("kv/data/previous", map[string]any{"f": "one"})
	shows(t, s, "one")
	v.answer(500)
	_, _, err = b.Expect(t.Context(), "vault:kv/other#f")
	require.ErrorContains(t, err, "vault answered 500", "an outage is not absence")
}

// What is no answer of Vault at all is quoted nowhere.
func TestVaultThatIsSomethingElse(t *testing.T) {
	_, b := newVault(t, options{})
	for _, handler := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hunter2") },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":{"data":"hunter2"}}`) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":{"hunter2":1}}`) },
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusBadGateway) },
		func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "hunter2\r\n\r\n")
			_ = conn.Close()
		},
	} {
		server := httptest.NewServer(handler)
		t.Setenv("VAULT_ADDR", server.URL)
		other := setup(t, options{})
		_, err := other.Resolve(t.Context(), "vault:kv/a#f")
		require.ErrorContains(t, err, "vault:kv/a#f cannot be read: vault")
		require.NotContains(t, err.Error(), "hunter2")
		server.Close()
	}
	require.Empty(t, b.Status())
}
