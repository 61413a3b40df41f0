//go:build failpoints

package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const childVar = "MAILROOM_FAILPOINT_CHILD"

// TestHit runs itself as the program that is to be killed.
func TestHit(t *testing.T) {
	if os.Getenv(childVar) != "" {
		for range 3 {
			Hit(AfterStore)
			_, _ = os.Stdout.WriteString("passed\n")
		}
		return
	}
	for value, passes := range map[string]int{"after-store": 0, "after-store:3": 2, "after-store:4": 3, "before-store": 3, "": 3} {
		t.Run(value, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHit$")
			cmd.Env = append(os.Environ(), childVar+"=1", Variable+"="+value)
			out, err := cmd.Output()
			require.Equal(t, passes, strings.Count(string(out), "passed\n"), "%s", out)
			if passes == 3 {
				require.NoError(t, err)
				return
			}
			var exit *exec.ExitError
			require.True(t, errors.As(err, &exit), "%v", err)
			status, ok := exit.Sys().(syscall.WaitStatus)
			require.True(t, ok && status.Signal() == syscall.SIGKILL)
		})
	}
}
