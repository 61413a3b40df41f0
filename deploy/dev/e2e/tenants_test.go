package e2e_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// TestMailStaysWithItsTenant: no edit, approval or replay brings mail of one tenant to
// the destination of another, by whatever way the decision comes.
func TestMailStaysWithItsTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) {
		s.Tenants = ", {name: other, domains: [other.example]}"
		s.Systems = `  - {name: theirs, url: "` + s.Sink + `/theirs", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}`
		s.Extra = `  - {name: theirs, when: {tenant: other, recipient: "sales@*"}, to: [theirs]}
  - {name: all-tenants, when: {recipient: "all@*"}, to: [ticketing]}`
		s.People = `
  - {name: oscar, roles: {other: operator}, token: {ref: "env:OSCAR_TOKEN"}}`
	})

	// An edit, through the API and past it.
	id := w.heldFor(shapeA(newID(), "nobody"), "unroutable")
	edit := map[string]any{"action": "edit", "note": "theirs", "edit": map[string]any{"to": []string{"theirs"}}}
	require.Equal(t, http.StatusBadRequest, w.api(http.MethodPost, "/emails/"+id+"/decisions", edit, nil))
	w.run("temporal", "workflow", "signal", "--workflow-id", id, "--name", "edit", "--input", `{"note":"x","edit":{"to":["theirs"]}}`)
	w.decide(id, "discard") // it is decided after the signal
	w.until(id, "discarded")
	require.Empty(t, w.effects(id))

	// Approving foreign recipients, who are another tenant's.
	foreign := shapeA(newID(), "sales")
	foreign["envelope"].(fields)["rcpt_to"] = []string{"sales@other.example"}
	id = w.heldFor(foreign, "recipient_foreign")
	w.decide(id, "approve")
	testenv.Eventually(t, func() bool { return w.email(id).Reason == "unroutable" }, patience, tick)
	require.Empty(t, w.effects(id))

	// A mail to both is its own tenant's, and says who else was named.
	mixed := shapeA(newID(), "support")
	mixed["envelope"].(fields)["rcpt_to"] = []string{"support@yourapp.example", "sales@other.example"}
	id = mixed["event_id"].(string)
	w.accept(mixed.json())
	require.Equal(t, []string{"sales@other.example"}, w.until(id, "delivered").Foreign)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))

	// A replay after the destination has become another tenant's.
	text, err := os.ReadFile(w.options.Config)
	require.NoError(t, err)
	changed := strings.Replace(string(text), "name: ticketing, tenants: [default]", "name: ticketing, tenants: [other]", 1)
	require.NotEqual(t, string(text), changed)
	w.configure([]byte(changed))
	require.NoError(t, w.Stop(stack.Worker))
	require.NoError(t, w.Start(t.Context(), stack.Worker))
	row := w.replay(map[string]any{"action": "replay", "from": "routing", "new_effect": true, "filter": map[string]any{"state": "delivered"}})
	require.Equal(t, map[string]int64{"started": 1}, row.Results)
	require.Equal(t, "unroutable", w.until(id, "quarantined").Reason)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
}
