package mailctl_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

const soundConfig = `
sources: [{name: s, path: /s, profile: mailparse, schemes: [basic], secrets: [{ref: "env:SOURCE"}], tenant: t}]
tenants: [{name: t}]
destinations: [{name: d, url: "https://d.example", secret: {ref: "env:DESTINATION"}}]
routes: [{name: r, when: {}, to: [d]}]
encryption: {keys: [{id: k, ref: "env:KEY"}]}
`

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	sound := file(t, "mailroom.yaml", soundConfig)
	require.Equal(t, sound+" is valid\n", call{args: []string{"config", "check", sound}}.done(t), "no secret is needed")
	require.JSONEq(t, `{"file":"`+sound+`","valid":true,"mistakes":[]}`, call{args: []string{"config", "check", sound, "-o", "json"}}.done(t))

	broken := file(t, "broken.yaml", strings.NewReplacer(`"env:DESTINATION"`, `"vault:"`, "to: [d]", "to: [none]").Replace(soundConfig))
	got := call{args: []string{"config", "check", broken}}.run(t)
	require.Equal(t, 1, got.code)
	lines := strings.Split(got.stdout, "\n")
	require.Regexp(t, `^  destinations\[0\]\.secret\.ref \(line 4\) `, lines[0])
	require.Equal(t, `  routes[0].to[0] (line 5) no destination is named "none"`, lines[1])
	require.Equal(t, "mailctl: configuration "+broken+" is not valid: 2 mistakes\n", got.stderr)

	got = call{args: []string{"config", "check", broken, "-o", "json"}}.run(t)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, `{"path":"routes[0].to[0]","line":5,"message":"no destination is named \"none\""}`)

	rules := file(t, "rules.yaml", strings.Replace(soundConfig, "when: {}", `when: {header: {X-A: "1", x-a: "2"}}`, 1))
	got = call{args: []string{"config", "check", rules}}.run(t)
	require.Equal(t, 1, got.code, got.stdout)
	require.Contains(t, got.stdout, "  routes", "rules are compiled, not only read")

	require.Equal(t, 1, call{args: []string{"config", "check", filepath.Join(t.TempDir(), "none.yaml")}}.run(t).code)
	require.Equal(t, 2, call{args: []string{"config", "check"}}.run(t).code)
}

// With --resolve the secrets of a role are read, and what is made of them is checked.
func TestConfigCheckResolves(t *testing.T) {
	t.Parallel()
	sound := file(t, "mailroom.yaml", soundConfig)
	check := func(role string, env map[string]string) outcome {
		return call{args: []string{"config", "check", sound, "--resolve", role}, env: env}.run(t)
	}
	key := strings.Repeat("ab", 32)
	require.Contains(t, check("worker", map[string]string{"KEY": key}).stdout, "destinations[0].secret.ref (line 4) ")
	require.Zero(t, check("worker", map[string]string{"KEY": key, "DESTINATION": "hidden"}).code)

	got := check("ingress", map[string]string{"KEY": key, "SOURCE": "without-colon"})
	require.Equal(t, 1, got.code, got.stdout)
	require.Contains(t, got.stdout, "sources[0] (line 2) ")
	require.NotContains(t, got.stdout, "without-colon")
	require.Zero(t, check("ingress", map[string]string{"KEY": key, "SOURCE": "user:password"}).code)
}

func TestConfigSchemaIsTheOneOfTheCheck(t *testing.T) {
	t.Parallel()
	text := call{args: []string{"config", "schema"}}.done(t)
	require.Equal(t, config.Schema(), text)
	require.Contains(t, text, `"$id": "urn:mailroom:config"`)
}
