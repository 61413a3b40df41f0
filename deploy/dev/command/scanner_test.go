package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

// A configuration of the caller's own says itself that mail is not really scanned.
func TestWithoutClamdTheConfigurationChooses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p := place{root: root, dir: filepath.Join(root, ".dev"), vars: stack.DevDefaults()}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "deploy", "dev"), 0o700))
	require.NoError(t, os.MkdirAll(p.dir, 0o700))
	tracked, own := filepath.Join(root, defaultConfig), filepath.Join(root, "own.yaml")
	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	bare := strings.Replace(string(text), "scanner: {max_signature_age: off}", "", 1)
	require.NotEqual(t, bare, string(text))
	require.NoError(t, os.WriteFile(tracked, text, 0o600))

	none, eicar, whole := scanning{}, scanning{clamd: true}, scanning{clamd: true, signatures: true}
	week := config.SignatureAge(168 * 3600e9)
	for name, c := range map[string]struct {
		path, text string
		here       scanning
		copied     bool
		want       config.Scanner // as the programs read it
		refused    bool
	}{
		"development":                {tracked, string(text), none, true, config.Scanner{BuiltIn: true, MaxSignatureAge: config.SignatureAgeOff}, false},
		"own, which says nothing":    {own, bare, none, false, config.Scanner{}, true},
		"own, which says another":    {own, string(text), none, false, config.Scanner{}, true},
		"own, which chooses it":      {own, bare + "scanner: builtin\n", none, false, config.Scanner{BuiltIn: true, MaxSignatureAge: week}, false},
		"clamd without signatures":   {own, bare, eicar, true, config.Scanner{MaxSignatureAge: config.SignatureAgeOff}, false},
		"the same, builtin":          {own, bare + "scanner: builtin\n", eicar, true, config.Scanner{BuiltIn: true, MaxSignatureAge: config.SignatureAgeOff}, false},
		"the same, empty":            {own, bare + "scanner:\n", eicar, true, config.Scanner{MaxSignatureAge: config.SignatureAgeOff}, false},
		"the same, own age":          {own, bare + "scanner: {max_signature_age: 168h}\n", eicar, false, config.Scanner{MaxSignatureAge: week}, false},
		"clamd with signatures":      {own, bare, whole, false, config.Scanner{MaxSignatureAge: week}, false},
		"development, with clamd":    {tracked, string(text), eicar, false, config.Scanner{MaxSignatureAge: config.SignatureAgeOff}, false},
		"development, with the rest": {tracked, string(text), whole, false, config.Scanner{MaxSignatureAge: config.SignatureAgeOff}, false},
	} {
		require.NoError(t, os.WriteFile(c.path, []byte(c.text), 0o600), name)
		path, file, err := p.config(c.path)
		require.NoError(t, err, name)
		var out bytes.Buffer
		made, err := p.scannerConfig(path, file, c.here, process.NewConsole(&out))
		if c.refused {
			require.ErrorContains(t, err, "own.yaml has no `scanner: builtin`", name)
			require.NotContains(t, err.Error(), "\n", name)
			continue
		}
		require.NoError(t, err, name)
		require.NoError(t, made.write(), name)
		require.Equal(t, c.copied, made.path == filepath.Join(p.dir, copiedConfig), name)
		require.Equal(t, !c.here.clamd, strings.Contains(out.String(), "WARNING"), name)
		got, err := config.Load(made.path, config.RoleAll, p.vars.Get)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got.Scanner, name)
		require.Equal(t, file.Routes, got.Routes, name)
		kept, err := os.ReadFile(c.path)
		require.NoError(t, err)
		require.Equal(t, c.text, string(kept), "%s: neither a tracked file nor the caller's own is written to", name)
	}
}
