package workflows_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Workflows name activities without linking what the activities talk to.
func TestWorkflowsLinkNoAdapter(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./workflows", "./activities")
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)

	linked := strings.Fields(string(out))
	require.Contains(t, linked, "mailroom/activities")
	for _, path := range linked {
		for _, adapter := range []string{
			"github.com/jackc/pgx", "github.com/minio/", "github.com/sony/gobreaker", "github.com/gogs/chardet",
			"github.com/gin-gonic/",
		} {
			require.False(t, strings.HasPrefix(path, adapter), "links %s", path)
		}
	}
}
