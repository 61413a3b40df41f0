package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

// TestAddSourceDestinationAndRule does to a running Mailroom what deploy/docs/operating.md
// says: change the file, check it, restart both roles, try it.
func TestAddSourceDestinationAndRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	file := w.options.Config
	added := strings.NewReplacer(
		"\ntenants:", `
  - {name: second, path: /webhooks/new, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}], tenant: default}
tenants:`,
		"\nroutes:", `
  - {name: billing, url: "`+w.SinkURL()+`/billing", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
routes:
  - {name: billing, when: {recipient: "billing@*"}, to: [billing]}`,
	).Replace(readText(t, file))
	require.NoError(t, os.WriteFile(file, []byte(added), 0o600))

	require.Contains(t, w.run("mailctl", "config", "check", file), "is valid")
	for _, role := range []string{stack.Ingress, stack.Worker} {
		require.NoError(t, w.Stop(role))
		require.NoError(t, w.Start(t.Context(), role))
	}

	id := newID()
	w.run("mailctl", "send", "--url", w.IngressURL()+"/webhooks/new", "--to", "billing@yourapp.example", "--event-id", id)
	w.until(id, "delivered")
	require.Equal(t, map[string]int{"/billing": 1}, w.effects(id))
	require.Contains(t, w.run("mailctl", "sources", "list"), "/webhooks/new")
	require.Contains(t, w.run("mailctl", "routes", "test", "--to", "billing@yourapp.example"), "It goes to billing.")
	require.Contains(t, w.run("mailctl", "destinations", "list"), "billing")
}
