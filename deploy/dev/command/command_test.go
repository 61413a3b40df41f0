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
	for want, args := range map[string][]string{
		"there is no command fly":                  {"fly"},
		"flag provided but not defined: -nonsense": {"up", "-nonsense"},
		"up has no flag -clean":                    {"up", "-clean"},
		"down has no flag -store":                  {"down", "-store", "minio"},
		"down: what is now?":                       {"down", "now"},
		"test: what follows is missing":            {"test"},
		"tool: what follows is missing":            {"tool"},
	} {
		var out, failure bytes.Buffer
		require.Equal(t, exitUsage, Run(args, nil, &out, &failure), args)
		require.Contains(t, failure.String(), want)
		require.Equal(t, 1, strings.Count(failure.String(), "\n"), failure.String())
		require.Empty(t, out.String())
	}

	var out, failure bytes.Buffer
	require.Equal(t, exitUsage, Run(nil, nil, &out, &failure))
	require.Contains(t, failure.String(), "usage: go run ./deploy/dev")
	for _, args := range [][]string{{"help"}, {"--help"}, {"up", "-h"}} {
		out.Reset()
		require.Equal(t, exitDone, Run(args, nil, &out, &failure), args)
		require.Contains(t, out.String(), "usage: go run ./deploy/dev")
	}
}

func TestAToolThatIsNotPinnedIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	var out, failure bytes.Buffer
	require.Equal(t, exitFailed, Run([]string{"tool", "no-such-tool"}, nil, &out, &failure))
	require.Contains(t, failure.String(), "mailroom: deploy/tools/no-such-tool, which pins no-such-tool, cannot be read: ")
	require.Equal(t, 1, strings.Count(failure.String(), "\n"))
}

func TestEveryMistakeOfAConfigurationIsInOneLine(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	broken := strings.NewReplacer("path: /webhooks/email", "pth: /webhooks/email", "to: [ticketing]", "to: [nowhere]").Replace(string(text))
	path := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
	_, err = checkConfig(path, stack.DevDefaults().Get)
	require.ErrorContains(t, err, "sources[0].pth")
	require.ErrorContains(t, err, `"nowhere"`)
	require.NotContains(t, err.Error(), "\n")
	_, err = checkConfig("../mailroom.yaml", stack.DevDefaults().Get)
	require.NoError(t, err)
}

// A .env written for Compose once changed the secrets of the local stack, so that
// README's commands were answered 401.
func TestEnvironmentOfComposeLeavesTheLocalStackAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dotenv := filepath.Join(dir, ".env")
	require.NoError(t, os.WriteFile(dotenv, []byte("POSTGRES_PASSWORD=p\nWEBHOOK_SECRET=of-compose\nOPERATOR_TOKEN=of-compose\n"), 0o600))
	p, err := placeAt(dir, []string{"TICKETING_SECRET=of-the-caller"})
	require.NoError(t, err)
	require.True(t, p.composeEnv)
	require.Equal(t, stack.DevDefaults().Get("WEBHOOK_SECRET"), p.vars.Get("WEBHOOK_SECRET"))
	require.Equal(t, stack.DevDefaults().Get("OPERATOR_TOKEN"), p.vars.Get("OPERATOR_TOKEN"))
	require.Equal(t, "of-the-caller", p.vars.Get("TICKETING_SECRET"))

	require.NoError(t, os.WriteFile(dotenv, []byte("WEBHOOK_SECRET=my-own\n"), 0o600))
	p, err = placeAt(dir, nil)
	require.NoError(t, err)
	require.False(t, p.composeEnv)
	require.Equal(t, "my-own", p.vars.Get("WEBHOOK_SECRET"))
}
