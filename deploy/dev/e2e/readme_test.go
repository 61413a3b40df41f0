package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

// TestReadmeCommands runs each block of commands in README as it is, but for addresses and
// the token, in a folder that has of a clone no more than what README says is there.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	readme, folder := readText(t, "../../../README.md"), newClone(t, w.bin)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(readme, -1)
	require.Len(t, blocks, 5)

	ran := 0
	for _, block := range blocks {
		script := strings.ReplaceAll(block[1], "\\\n", "")
		if !strings.Contains(script, "EVENT_ID") {
			w.runBlock(folder, script)
			ran++
			continue
		}
		for line := range strings.Lines(script) {
			w.runLine(folder, line)
			ran++
		}
	}
	require.Equal(t, 1+2+1+4+1, ran, "make; approve and signal; curl; mailctl; a decision")
}

// TestTemporalCommands runs each command of Temporal's that the manual shows about an email
// which is held.
func TestTemporalCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	folder := newClone(t, w.bin)
	for page, want := range map[string]int{"web-ui.md": 4, "runbook.md": 4} {
		var lines []string
		for _, block := range regexp.MustCompile("(?ms)^```(?:sh)?\n(.*?)^```$").FindAllStringSubmatch(readText(t, "../../docs/"+page), -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", "")) {
				if strings.HasPrefix(line, "temporal ") {
					lines = append(lines, line)
				}
			}
		}
		require.GreaterOrEqual(t, len(lines), want, page)

		for _, line := range lines {
			w.runLine(folder, strings.ReplaceAll(line, "evt_1", "EVENT_ID"))
		}
	}

	id := newID()
	w.accept(shapeA(id, "careful").json())
	w.until(id, "quarantined")
	told := w.runShell(folder, "temporal workflow metadata --workflow-id "+id+` --codec-endpoint http://127.0.0.1:8081/codec --codec-auth "Bearer $MAILROOM_TOKEN"`)
	require.Contains(t, told, "**Held for a person**")
}

// newClone returns a folder with programs, samples and a make that knows the target temporal.
func newClone(t *testing.T, bin string) string {
	t.Helper()
	folder := t.TempDir()
	docs, err := filepath.Abs("../../docs")
	require.NoError(t, err)
	for name, target := range map[string]string{".dev/bin": bin, "deploy/docs": docs} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700))
		require.NoError(t, os.Symlink(target, filepath.Join(folder, name)))
	}
	const fake = "#!/bin/sh\n[ \"$*\" = temporal ] && echo .dev/bin/temporal\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "make"), []byte(fake), 0o700))
	return folder
}

// runBlock runs commands that name no email. What stands after a # is what they print.
func (w *world) runBlock(folder, script string) {
	w.t.Helper()
	if strings.HasPrefix(script, "make ") {
		makefile := readText(w.t, "../../../Makefile")
		for _, m := range regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllStringSubmatch(script, -1) {
			require.Contains(w.t, makefile, "\n"+m[1]+": ", "README names a target of make that does not exist")
		}
		return
	}

	printed := w.runShell(folder, script)
	if m := regexp.MustCompile(`(?m)^# (\{.*)$`).FindStringSubmatch(script); m != nil {
		require.JSONEq(w.t, m[1], printed)
		w.until("evt_curl_1", "delivered")
	}
}

// runLine runs one command about EVENT_ID, which is a held email.
func (w *world) runLine(folder, line string) {
	w.t.Helper()
	id := newID()
	w.accept(shapeA(id, "careful").json())
	w.until(id, "quarantined")
	w.runShell(folder, strings.ReplaceAll(line, "EVENT_ID", id))
	if strings.Contains(line, "approve") {
		w.until(id, "delivered")
	}
}

// runShell runs a script with the addresses of this world, and returns what it prints.
func (w *world) runShell(folder, script string) string {
	w.t.Helper()
	ours := strings.NewReplacer(
		"http://127.0.0.1:8080", w.IngressURL(), "http://127.0.0.1:8081", w.OperatorURL(), "dev-operator-token", operatorToken,
	)
	cmd := exec.CommandContext(w.t.Context(), "sh", "-euc", ours.Replace(script))
	cmd.Dir = folder
	cmd.Env = append(w.environment(), "PATH="+folder+":"+w.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "README's commands\n%s\nprint\n%s", script, out)
	return string(out)
}

// TestReadmePorts: the addresses that README names are those of the local stack.
func TestReadmePorts(t *testing.T) {
	t.Parallel()
	var ours []string
	ports := reflect.ValueOf(stack.DevPorts())
	for i := range ports.NumField() {
		ours = append(ours, strconv.FormatInt(ports.Field(i).Int(), 10))
	}

	found := regexp.MustCompile(`(?:127\.0\.0\.1|\| |, ):(\d{4})\b|\b127\.0\.0\.1:(\d{4})`).FindAllStringSubmatch(readText(t, "../../../README.md"), -1)
	require.Greater(t, len(found), 10)
	for _, m := range found {
		require.True(t, slices.Contains(ours, m[1]+m[2]), "%s", m[0])
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
