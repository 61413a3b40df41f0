package stack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToolLines(t *testing.T) {
	t.Parallel()
	const mod = `module mailroom/deploy/tools/x

go 1.26.0

tool (
	example.com/a/cmd/server // the server
	example.com/a/cmd/sql
)

tool example.com/b

require (
	example.com/a v1.2.3
	example.com/a/cmd v0.9.0 // indirect
	example.com/ab v9.9.9
)

require example.com/b v0.0.1
`
	require.Equal(t, []string{"example.com/a/cmd/server", "example.com/a/cmd/sql", "example.com/b"}, toolLines(mod))
	require.Equal(t, "v0.9.0", version(mod, "example.com/a/cmd/sql"))
	require.Equal(t, "v0.0.1", version(mod, "example.com/b"))
	require.Empty(t, version(mod, "example.com/c"))
}

func TestReason(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]string{
		"":                        "it said nothing",
		"\n \n":                   "it said nothing",
		"one\ntwo\n":              "two",
		"FATAL:  no space\nbye\n": "FATAL:  no space",
		`{"level":"INFO","msg":"starting"}` + "\nlisten tcp :80: permission denied\n":              "listen tcp :80: permission denied",
		`{"level":"ERROR","msg":"run","error":"no route"}` + "\n" + `{"level":"INFO","msg":"bye"}`: "run: no route",
		"{not json": "{not json",
	} {
		require.Equal(t, want, reason([]byte(log)), log)
	}
	require.Equal(t, "it left no log", lastWords("/nowhere"))
}
