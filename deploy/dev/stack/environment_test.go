package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/testenv"
)

func TestParseDotEnv(t *testing.T) {
	t.Parallel()
	vars, err := parseDotEnv(strings.NewReader(strings.Join([]string{
		"\ufeffFIRST=1", "", "  # a comment", "export EXPORTED = spaced  ", "EMPTY=", "COMMENT_ONLY= # nothing",
		"HASH=a#b # cut here", "TAB=a\t# cut here", `SINGLE='as it \n is # all'`, `DOUBLE="two\nlines \"quoted\" \\ \x" # cut`,
		"EQUALS=whsec_YWJj==", "CRLF=value\r",
	}, "\n")))
	require.NoError(t, err)
	require.Equal(t, Vars{
		"FIRST": "1", "EXPORTED": "spaced", "EMPTY": "", "COMMENT_ONLY": "", "HASH": "a#b", "TAB": "a",
		"SINGLE": `as it \n is # all`, "DOUBLE": "two\nlines \"quoted\" \\ \\x",
		"EQUALS": "whsec_YWJj==", "CRLF": "value",
	}, vars)
}

func TestParseDotEnvNamesTheLineAndNotItsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"A=1\nhunter2":         "line 2 is not NAME=value",
		"hunter-2=x":           "line 1 is not NAME=value",
		"2A=hunter2":           "line 1 is not NAME=value",
		"A=\"hunter2":          "line 1 (A): the closing quote is missing",
		"A='hunter2' 'hunter2": "line 1 (A): text after the closing quote",
	} {
		_, err := parseDotEnv(strings.NewReader(text))
		require.EqualError(t, err, want, text)
	}
}

func TestResolveAsksTheCallerThenTheFileThenTheDefaults(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(file, []byte("A=file\nB=file\n"), 0o600))
	vars, err := Resolve([]string{"A=caller", "EMPTY=", "=odd", "alone"}, file, Vars{"A": "default", "B": "default", "C": "default", "EMPTY": "default"})
	require.NoError(t, err)
	require.Equal(t, Vars{"A": "caller", "B": "file", "C": "default", "EMPTY": ""}, vars)

	vars, err = Resolve(nil, filepath.Join(t.TempDir(), "none"), nil)
	require.NoError(t, err)
	require.Empty(t, vars)
}

func TestTheDevelopmentConfigurationLoadsWithTheDefaultsAlone(t *testing.T) {
	t.Parallel()
	file, err := config.Load("../mailroom.yaml", config.RoleAll, DevDefaults().Get)
	require.NoError(t, err)
	require.Len(t, file.Sources, 1)
	require.Len(t, file.Sources[0].Secrets, 1, "the previous secret is dropped while it is not set")
	require.Equal(t, "dev-webhook-secret", file.Sources[0].Secrets[0].Key.Reveal())
	require.Len(t, file.Operators, 1)
}

func TestTestsReadTheVariablesThatAreSetForThem(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Dir: t.TempDir(), Services: Servers(), Ports: DevPorts(), Vars: DevDefaults()})
	require.NoError(t, err)
	vars := s.Infra().TestVars("dir", "bin")
	names := []string{
		testenv.VarRequired, testenv.VarDir, testenv.VarBin, testenv.VarDatabaseURL, testenv.VarS3Endpoint,
		testenv.VarS3AccessKey, testenv.VarS3SecretKey, testenv.VarClamd, testenv.VarTemporal,
	}
	require.Len(t, vars, len(names))
	for _, name := range names {
		require.Contains(t, vars, name)
	}
	require.Equal(t, s.Infra(), TestInfra(vars.Get))
}
