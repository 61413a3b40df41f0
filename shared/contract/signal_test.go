package contract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

func TestSignalName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"aprove":                   "aprove",
		"":                         "(empty)",
		"a`b":                      `a\x60b`,
		"a\n# b":                   `a\n# b`,
		`say "yes"`:                `say "yes"`,
		"\u202eevil\x1b[2J":        `\u202eevil\x1b[2J`,
		"\xff":                     `\xff`,
		strings.Repeat("a", 64):    strings.Repeat("a", 64),
		strings.Repeat("a", 65):    strings.Repeat("a", 61) + "...",
		strings.Repeat("ä", 1<<20): strings.Repeat(`\u00e4`, 10) + `\...`,
	} {
		got := contract.SignalName(name)
		require.Equal(t, want, got)
		require.LessOrEqual(t, len(got), contract.MaxSignalName)
	}
}
