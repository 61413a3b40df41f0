// Package packages_test checks what releases are made from, where no release is built: the
// configuration of goreleaser, the units and the example configuration of the packages.
package packages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"mailroom/shared/config"
)

const (
	root    = "../.."
	release = ".goreleaser.yaml"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(text)
}

// TestTheReleaseFollowsTheSchema validates .goreleaser.yaml against what `goreleaser
// jsonschema` writes for the pinned version. `make snapshot` runs `goreleaser check` too.
func TestTheReleaseFollowsTheSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(read(t, "deploy/packages/testdata/goreleaser.schema.json")))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("goreleaser.json", schema))
	compiled, err := compiler.Compile("goreleaser.json")
	require.NoError(t, err)

	var document map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(read(t, release)), &document))
	require.NoError(t, compiled.Validate(document))

	document["archive"] = []any{}
	require.ErrorContains(t, compiled.Validate(document), "archive", "the schema must be strict")
}

// TestWhatIsPackedIsThere follows each path of .goreleaser.yaml that is in the repository.
func TestWhatIsPackedIsThere(t *testing.T) {
	t.Parallel()
	path := regexp.MustCompile(`(?:src|postinstall|preremove|postremove|\bdir): "?([\w./*-]+)`)
	found := path.FindAllStringSubmatch(read(t, release), -1)
	require.Greater(t, len(found), 20)

	for _, m := range found {
		if strings.HasPrefix(m[1], ".dev/") {
			continue
		}
		matches, err := filepath.Glob(filepath.Join(root, m[1]))
		require.NoError(t, err)
		require.NotEmpty(t, matches, m[1])
	}
}

// TestEveryBuildIsStampedAlike compares what `make build` and a release link into the programs
// with the variables that there are: the linker ignores a name that does not exist.
func TestEveryBuildIsStampedAlike(t *testing.T) {
	t.Parallel()
	names := func(path, pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, path), -1) {
			all = append(all, m[1])
		}
		return all
	}

	want := []string{"version", "commit", "date"}
	require.Contains(t, read(t, "deploy/dev/stack/programs.go"), `const variable = " -X mailroom/shared/build."`)
	require.Equal(t, want, names("deploy/dev/stack/programs.go", `variable *\+ *"(\w+)="`))
	require.Equal(t, want, names(release, `-X mailroom/shared/build\.(\w+)=`))
	for _, name := range want {
		require.Regexp(t, `(?m)^\t`+name+` +string$`, read(t, "shared/build/build.go"))
	}
}

// variable finds the lines of an environment file, which are all comments.
var variable = regexp.MustCompile(`(?m)^#([A-Z][A-Z0-9_]+)=`)

func variables(t *testing.T, file string) []string {
	t.Helper()
	var names []string
	for _, m := range variable.FindAllStringSubmatch(read(t, "deploy/packages/etc/"+file), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestEachServiceHasItsOwnSecrets fills the environment file of each role: the example
// configuration then loads for this role, and not for the other one.
func TestEachServiceHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		file  string
		role  config.Role
		other config.Role
	}{
		{"ingress.env", config.RoleIngress, config.RoleWorker},
		{"worker.env", config.RoleWorker, config.RoleIngress},
	} {
		names := variables(t, row.file)
		getenv := func(name string) string {
			switch {
			case !slices.Contains(names, name):
				return ""
			case name == "MAILROOM_ENCRYPTION_KEY":
				return "bWFpbHJvb20tZGV2ZWxvcG1lbnQta2V5LW5vLXNlY3I="
			case name == "TICKETING_SECRET":
				return "whsec_bWFpbHJvb20tZGV2ZWxvcG1lbnQtdGlja2V0aW5n"
			}
			return strings.ToLower(name)
		}

		path := filepath.Join(root, "deploy/packages/etc/mailroom.yaml")
		_, err := config.Load(path, row.role, getenv)
		require.NoError(t, err, row.file)
		_, err = config.Load(path, row.other, getenv)
		require.Error(t, err, row.file)

		for _, v := range config.Variables() {
			if v.Required {
				require.Contains(t, names, v.Name, row.file)
			}
		}
	}
	require.Equal(t, []string{"DATABASE_URL"}, variables(t, "migrate.env"))
}

// TestUnitsAreAlike: a service that is hardened less than the others would be a mistake.
func TestUnitsAreAlike(t *testing.T) {
	t.Parallel()
	const begin = "# What the program may do"
	units, err := filepath.Glob(filepath.Join(root, "deploy/packages/systemd/*.service"))
	require.NoError(t, err)
	require.Len(t, units, 4)

	want := ""
	for _, path := range units {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, hardened, found := strings.Cut(string(text), begin)
		require.True(t, found, path)
		hardened, _, _ = strings.Cut(hardened, "[Install]")
		if want == "" {
			want = strings.TrimSpace(hardened)
		}
		require.Equal(t, want, strings.TrimSpace(hardened), path)
	}
}
