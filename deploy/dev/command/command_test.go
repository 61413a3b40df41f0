package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

func TestAWrongCallShowsHowItIsUsed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"fly"}, {"up", "-nonsense"}, {"down", "now"}, {"test"}, {"tool"}} {
		var out, failure bytes.Buffer
		require.Equal(t, exitUsage, Run(args, &out, &failure), args)
		require.Contains(t, failure.String(), "usage: go run ./deploy/dev", args)
		require.Empty(t, out.String())
	}
}

func TestAToolThatIsNotPinnedIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	var out, failure bytes.Buffer
	require.Equal(t, exitFailed, Run([]string{"tool", "no-such-tool"}, &out, &failure))
	require.Contains(t, failure.String(), "mailroom: deploy/tools/no-such-tool/go.mod, which pins no-such-tool, cannot be read: ")
	require.Equal(t, 1, strings.Count(failure.String(), "\n"))
}

func TestEveryMistakeOfAConfigurationIsInOneLine(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	broken := strings.NewReplacer("path: /webhooks/email", "pth: /webhooks/email", "to: [ticketing]", "to: [nowhere]").Replace(string(text))
	path := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
	err = checkConfig(path, stack.DevDefaults().Get)
	require.ErrorContains(t, err, "sources[0].pth")
	require.ErrorContains(t, err, `"nowhere"`)
	require.NotContains(t, err.Error(), "\n")
	require.NoError(t, checkConfig("../mailroom.yaml", stack.DevDefaults().Get))
}
