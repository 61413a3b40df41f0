package e2e_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// TestHelpNeedsNoEnvironment asks each program for its help with no variable set: the sample
// destination started to serve.
func TestHelpNeedsNoEnvironment(t *testing.T) {
	t.Parallel()
	bin := testenv.Bin(t)
	for _, name := range stack.ProgramNames() {
		help := exec.CommandContext(t.Context(), filepath.Join(bin, name), "--help")
		help.Env = []string{}
		out, err := help.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		require.Regexp(t, "(?i)^usage: "+name, string(out))

		wrong := exec.CommandContext(t.Context(), filepath.Join(bin, name), "--nothing")
		wrong.Env = []string{}
		out, err = wrong.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s: %s", name, out)
		require.Equal(t, 2, exit.ExitCode(), "%s: %s", name, out)
	}
}
