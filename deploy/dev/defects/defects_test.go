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

	"mailroom/shared/testenv"
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
	if os.Getenv(testenv.VarRequired) != "1" {
		t.Skip("`make mutants` starts what the tests of the defects need")
	}
	defects := readDefects(t)
	require.NotEmpty(t, defects)
	overlay := applyAll(t, defects)

	byPackage := map[string][]defect{}
	for _, d := range defects {
		byPackage[d.pkg] = append(byPackage[d.pkg], d)
	}
	packages := slices.Sorted(maps.Keys(byPackage))
	programs := compile(t, packages, overlay)

	// One after the other: a test that fails because the machine is busy finds nothing.
	for _, pkg := range packages {
		t.Run(pkg, func(t *testing.T) {
			checkWithout(t, programs[pkg], byPackage[pkg])
			for _, d := range byPackage[pkg] {
				t.Run(d.name, func(t *testing.T) { checkWith(t, programs[pkg], d) })
			}
		})
	}
}

// checkWithout requires that the tests of all defects of a package pass without them.
func checkWithout(t *testing.T, p program, defects []defect) {
	t.Helper()
	var tests []string
	for _, d := range defects {
		tests = append(tests, d.test)
	}
	output, err := p.run(t, "", tests...)
	require.NoError(t, err, "without a defect: %s", output)
	for _, test := range tests {
		require.Contains(t, output, "--- PASS: "+test+" ", "the test runs")
	}
}

// checkWith requires that the test of a defect fails with it, and by an assertion.
func checkWith(t *testing.T, p program, d defect) {
	t.Helper()
	output, err := p.run(t, d.name, d.test)
	require.Error(t, err, "no test has noticed the defect: %s", output)
	require.Contains(t, output, "--- FAIL: "+d.test+" ", "the test ends otherwise")
	require.NotContains(t, output, "panic: ", "the test ends otherwise")
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
		output, err := apply.CombinedOutput()
		require.NoError(t, err, "%s no longer applies: %s", d.name, output)
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

// compile compiles the tests of packages with all their defects in one call.
func compile(t *testing.T, packages []string, overlay string) map[string]program {
	t.Helper()
	out := t.TempDir()
	args := []string{"test", "-c", "-trimpath", "-vet=off", "-overlay", overlay, "-o", out + "/"}
	build := exec.CommandContext(t.Context(), "go", append(args, packages...)...)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "the tests do not compile with the defects: %s", output)

	programs := map[string]program{}
	for _, pkg := range packages {
		dir, err := filepath.Abs(filepath.Join(root, pkg))
		require.NoError(t, err)
		programs[pkg] = program{path: filepath.Join(out, filepath.Base(pkg)+".test"), dir: dir}
	}
	return programs
}

// run runs tests of the program in its package's folder, as go test does.
func (p program) run(t *testing.T, defect string, tests ...string) (string, error) {
	t.Helper()
	names := "^(" + strings.Join(tests, "|") + ")$"
	cmd := exec.CommandContext(t.Context(), p.path, "-test.v", "-test.count=1", "-test.timeout=2m", "-test.run="+names)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), variable+"="+defect)
	output, err := cmd.CombinedOutput()
	return string(output), err
}
