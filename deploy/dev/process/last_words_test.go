package process

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
		require.Equal(t, want, Reason([]byte(log)), log)
	}
	require.Equal(t, "it left no log", LastWords("/nowhere"))
}
