//go:build mutants

// Package defects_test puts known defects into the product's code and shows that a test
// finds each. A defect is a diff in testdata; text before the diff says what is wrong,
// and in which package which test finds it:
//
//	A verdict other than OK is taken as clean.
//	Package: ./shared/clamav
//	Test: TestScanClassifiesAnswers
//
// The changed lines ask hasDefect, which each changed package is given for the run, with
// the name of the diff without ".diff": the environment variable MAILROOM_DEFECT chooses
// the one defect that a process has. All diffs are applied to copies of the files, which
// the compiler takes in place of the originals, so that each package is compiled once. A
// diff that no longer applies fails the run.
package defects_test

import (
	"bufio"
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	variable = "MAILROOM_DEFECT"
	root     = "../../.." // of the repository
)

// defect is one diff.
type defect struct {
	name  string
	diff  string // path
	pkg   string
	test  string
	files []string // from the repository's root
}

func TestDefectsAreFound(t *testing.T) {
	defects := readDefects(t)
	require.NotEmpty(t, defects)
	overlay := applyAll(t, defects)

	byPackage := map[string][]defect{}
	for _, d := range defects {
		byPackage[d.pkg] = append(byPackage[d.pkg], d)
	}
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		program := compile(t, pkg, overlay)
		for _, d := range byPackage[pkg] {
			t.Run(d.name, func(t *testing.T) {
				said, err := program.run(t, "", d.test)
				require.NoError(t, err, "without the defect: %s", said)
				require.Contains(t, said, "--- PASS: "+d.test+" ", "the test runs")

				said, err = program.run(t, d.name, d.test)
				require.Error(t, err, "no test has noticed the defect: %s", said)
				require.Contains(t, said, "--- FAIL: "+d.test+" ", "it ends otherwise: %s", said)
			})
		}
	}
}

// readDefects returns the defects, sorted by name.
func readDefects(t *testing.T) []defect {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.diff")
	require.NoError(t, err)

	var defects []defect
	for _, path := range paths {
		absolute, err := filepath.Abs(path)
		require.NoError(t, err)
		d := defect{name: strings.TrimSuffix(filepath.Base(path), ".diff"), diff: absolute}
		file, err := os.Open(path)
		require.NoError(t, err)
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if pkg, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
				d.pkg = pkg
			}
			if test, ok := strings.CutPrefix(lines.Text(), "Test: "); ok {
				d.test = test
			}
			if name, ok := strings.CutPrefix(lines.Text(), "--- a/"); ok {
				d.files = append(d.files, name)
			}
		}
		require.NoError(t, file.Close())
		require.NotEmpty(t, d.pkg, "%s names no package", path)
		require.NotEmpty(t, d.test, "%s names no test", path)
		require.NotEmpty(t, d.files, "%s changes no file", path)
		defects = append(defects, d)
	}
	return defects
}

// applyAll applies every defect to copies of the files, and returns the path of the
// file that leads the compiler to them.
func applyAll(t *testing.T, defects []defect) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, d := range defects {
		for _, name := range d.files {
			original, err := filepath.Abs(filepath.Join(root, name))
			require.NoError(t, err)
			changed := filepath.Join(dir, name)
			if replace[original] != "" {
				continue
			}
			replace[original] = changed
			text, err := os.ReadFile(original)
			require.NoError(t, err, "%s changes a file that is not there", d.name)
			require.NoError(t, os.MkdirAll(filepath.Dir(changed), 0o700))
			require.NoError(t, os.WriteFile(changed, text, 0o600))
		}
		apply := exec.CommandContext(t.Context(), "git", "apply", d.diff)
		apply.Dir = dir
		apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		said, err := apply.CombinedOutput()
		require.NoError(t, err, "%s no longer applies: %s", d.name, said)
	}

	for original, changed := range maps.Clone(replace) {
		replace[filepath.Join(filepath.Dir(original), switchFile)] = writeSwitch(t, changed)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, text, 0o600))
	return overlay
}

// switchFile is the file with hasDefect that each changed package is given.
const switchFile = "has_defect.go"

// writeSwitch writes the switch beside a changed file and returns its path.
func writeSwitch(t *testing.T, changed string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), changed, nil, parser.PackageClauseOnly)
	require.NoError(t, err)
	text := "package " + parsed.Name.Name + "\n\nimport \"os\"\n\n" +
		"func hasDefect(name string) bool { return os.Getenv(\"" + variable + "\") == name }\n"
	path := filepath.Join(filepath.Dir(changed), switchFile)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// program is the compiled tests of one package.
type program struct{ path, dir string }

func compile(t *testing.T, pkg, overlay string) program {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, pkg))
	require.NoError(t, err)
	p := program{path: filepath.Join(t.TempDir(), "tests"), dir: dir}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-trimpath", "-vet=off", "-overlay", overlay, "-o", p.path, pkg)
	build.Dir = root
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s does not compile with its defects: %s", pkg, said)
	return p
}

// run runs one test of the program, in its package's folder as go test does.
func (p program) run(t *testing.T, defect, test string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, "-test.v", "-test.count=1", "-test.timeout=2m", "-test.run=^"+test+"$")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), variable+"="+defect)
	said, err := cmd.CombinedOutput()
	return string(said), err
}
