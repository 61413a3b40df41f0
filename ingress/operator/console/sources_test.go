package console

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
)

// TestSourcesOfATenant shows the sources of the caller's tenants alone, with secrets by
// reference.
func TestSourcesOfATenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := b.get(t, ada, "/sources").Body.String()
	for _, want := range []string{
		"mailparse", "/webhooks/email", "env:NOW", "file:/before", "still in use", "verifies until 2026-11-25 09:00:00 UTC", "1\u202f200 Signature invalid",
		`href="/sources/mailparse/failures"`, "theirs", "It verifies no request", "disabled", "<dt>Tenant</dt>", "10 requests per second",
	} {
		require.Contains(t, all, want)
	}
	require.NotContains(t, all, "the-text-of")
	require.NotContains(t, b.get(t, vera, "/sources").Body.String(), "/failures", "addresses are for operators")

	other := b.get(t, olga, "/sources").Body.String()
	require.Contains(t, other, "/webhooks/theirs")
	require.NotContains(t, other, "mailparse")
	require.NotContains(t, other, "env:NOW")
	require.NotContains(t, other, "<dt>Tenant</dt>", "there is one alone")
	require.Equal(t, http.StatusNotFound, b.get(t, olga, "/sources/mailparse/failures").Code)
	require.Equal(t, http.StatusOK, b.get(t, olga, "/sources/theirs/failures").Code)
	require.Contains(t, b.get(t, who("nobody", access.Viewer, "third"), "/sources").Body.String(), "No source belongs to a tenant of yours")

	failures := b.get(t, ada, "/sources/mailparse/failures?since=168h").Body.String()
	require.Contains(t, failures, "192.0.2.7")
	require.Contains(t, failures, "others, together")
	require.Contains(t, failures, `<option value="168h" selected>`)
	require.Contains(t, failures, "since 2026-11-18 08:00:00 UTC")
}

// TestTokensOfATenant shows the admin of one tenant what may act there, and no more.
func TestTokensOfATenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := b.get(t, root, "/tokens").Body.String()
	for _, want := range []string{"env:ROOT_TOKEN", "env:LOCAL_TOKEN", "every tenant", "ann@id.example", "theirs", "revoked", "in the configuration", "2026-11-25 09:00:00 UTC"} {
		require.Contains(t, all, want)
	}
	require.NotContains(t, all, "the-text-of")

	local := b.get(t, who("local", access.Admin, "default"), "/tokens").Body.String()
	require.Contains(t, local, "env:LOCAL_TOKEN")
	require.Contains(t, local, "ci")
	for _, hidden := range []string{"env:ROOT_TOKEN", "theirs", "otto", "<bdi>other</bdi>"} {
		require.NotContains(t, local, hidden)
	}
	require.NotContains(t, b.get(t, ada, "/").Body.String(), `href="/tokens"`, "operators have no such page")
}
