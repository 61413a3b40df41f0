package console

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
)

func TestAuditPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get(t, root, "/audit?verify=yes").Body.String()
	require.Contains(t, page, "All 2 entries fit together")
	require.Contains(t, page, "approve: a test file")

	b.fakes.broken = true
	require.Contains(t, b.get(t, root, "/audit?verify=yes").Body.String(), "broken at entry 2")
}

func TestAuditText(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"replay":55,"action":"retry","note":"because 54"}`: "retry number 55: because 54",
		`{"replay":7,"control":"set_rate"}`:                  "set_rate number 7",
		`{"destination":"crm","paused":true,"note":"why"}`:   "pause crm: why",
		`{"note":"why"}`: "why",
		`nonsense`:       "",
	} {
		require.Equal(t, want, auditText(auditchain.Entry{Kind: "replay", Body: body}))
	}
}
