package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// TestTokensHaveOwners: a token counts as the person that its creator names, or as the
// creator; no token has a name under which the system acts.
func TestTokensHaveOwners(t *testing.T) {
	t.Parallel()
	b := setup(t)
	create := walk{method: http.MethodPost, path: "/api/v1/tokens"}
	for body, owner := range map[string]string{
		`{"name":"own","roles":{"*":"operator"}}`:                             "adam",
		`{"name":"of-ann","owner":" Ann@id.example ","roles":{"*":"viewer"}}`: "Ann@id.example",
	} {
		create.body = body
		resp, text := create.send(t, b, "admin", nil)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		require.Contains(t, text, `"owner":"`+owner+`"`)
	}
	for _, body := range []string{
		`{"name":"policy","roles":{"*":"operator"}}`,
		`{"name":"Mailroom","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"policy","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"mailroom@anywhere","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"ann (claimed)","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"a\nb","roles":{"*":"operator"}}`,
	} {
		create.body = body
		resp, text := create.send(t, b, "admin", nil)
		requireRefused(t, resp, text, http.StatusBadRequest, fault.RequestInvalid)
	}
}

// TestTokensByTenant: the admin of a tenant sees what may act there, with the roles there,
// and learns nothing of other tenants; no answer has the text or the hash of a token.
func TestTokensByTenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.makeToken(t, "both", func(k *ledger.Token) { k.Roles = map[string]string{"default": "viewer", "acme": "operator"} })
	b.makeToken(t, "ours", func(k *ledger.Token) { k.Roles = map[string]string{"default": "operator"} })
	type row struct {
		Name       string            `json:"name"`
		State      string            `json:"state"`
		Configured bool              `json:"configured"`
		Ref        string            `json:"ref"`
		Roles      map[string]string `json:"roles"`
		Created    *time.Time        `json:"created_at"`
	}
	list := func(as string) map[string]row {
		resp, body := b.do(t, http.MethodGet, "/api/v1/tokens", as, "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.NotContains(t, body, "token-", "the text of a token")
		require.NotContains(t, body, "mrt_")
		require.NotContains(t, body, "sha256")
		var got struct{ Tokens []row }
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		rows := map[string]row{}
		for _, r := range got.Tokens {
			rows[r.Name] = r
		}
		require.Len(t, rows, len(got.Tokens))
		return rows
	}

	all := list("admin")
	require.Len(t, all, len(operators())+2)
	require.Equal(t, map[string]string{"default": "viewer", "acme": "operator"}, all["both"].Roles)
	require.NotNil(t, all["both"].Created)
	require.Equal(t, row{Name: "vera", State: "valid", Configured: true, Ref: "env:VERA", Roles: map[string]string{"*": "viewer"}}, all["vera"])
	require.Equal(t, "env:FOREIGN", all["foreign"].Ref)

	acme := list("foreign")
	require.ElementsMatch(t, []string{"vera", "olga", "adam", "foreign", "mixed", "both"}, slices.Collect(maps.Keys(acme)))
	require.Equal(t, map[string]string{"acme": "operator"}, acme["both"].Roles)
	require.Equal(t, map[string]string{"*": "viewer", "acme": "operator"}, acme["mixed"].Roles)
	require.Equal(t, "env:FOREIGN", acme["foreign"].Ref)
	require.Empty(t, acme["adam"].Ref, "its secret is none of acme's")
	require.Contains(t, list("local"), "ours")

	b.clock.now = b.clock.now.Add(24 * time.Hour)
	require.NoError(t, b.store.RevokeToken(t.Context(), "ours", "adam", "api", b.clock.now))
	require.Equal(t, "revoked", list("admin")["ours"].State)
}
