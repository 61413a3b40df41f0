package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChangedNamesTheKeys(t *testing.T) {
	t.Parallel()
	read := func(replacements ...string) *File {
		text := strings.NewReplacer(replacements...).Replace(example)
		f, err := load(t.Context(), "m.yaml", []byte(text), RoleNone, resolver(environment(nil)), now())
		require.NoError(t, err)
		return f
	}
	was := read()
	require.Empty(t, was.Changed(read()))
	require.Empty(t, was.Changed(read("retry:", "# a comment\nretry:", "{name: default, domains: [YourApp.example]}", "{domains: [YourApp.example], name: default}")))
	require.Equal(t, []string{"destinations", "retry"}, was.Changed(read("timeout: 12s", "timeout: 13s", "retry:\n  deliver: 6h\n", "")))
	require.Equal(t, []string{"scanner"}, was.Changed(read("retry:", "scanner: builtin\nretry:")))
	require.Empty(t, (&File{}).Changed(&File{}))
}
