package decode

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParserNamesItsLibrary: the library in the name is the one that is linked.
func TestParserNamesItsLibrary(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^mailroom/\d+( text v\d+\.\d+\.\d+)?$`, Parser())
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.Regexp(t, regexp.QuoteMeta(library)+` v`, string(mod))
}
