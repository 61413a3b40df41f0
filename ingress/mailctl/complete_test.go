package mailctl_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/mailctl"
)

// TestMain lets the test program stand in for mailctl where a shell calls it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "mailctl" {
		os.Exit(mailctl.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
	}
	os.Exit(m.Run())
}

// offered returns the words that are offered for a command line, without their help.
func offered(t *testing.T, words ...string) []string {
	t.Helper()
	out := call{args: append([]string{"__complete"}, words...)}.done(t)
	var names []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names = append(names, name)
	}
	return names
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"em":                                  {"emails"},
		"emails ":                             {"list", "get", "raw", "approve", "retry", "discard", "edit", "attachment"},
		"emails di":                           {"discard"},
		"-o json emails di":                   {"discard"},
		"--output json emails di":             {"discard"},
		"emails list --state h":               {"held"},
		"emails list --state=h":               {"--state=held"},
		"emails list --state =":               {"processing", "retrying", "held", "delivered", "discarded", "duplicate"},
		"emails list --state = h":             {"held"},
		"emails list --reason scanner":        {"scanner_unavailable"},
		"emails approve evt_1 --yes --not":    {"--note"},
		"emails approve --note held --tenan":  {"--tenant"},
		"emails get evt_1 -o ":                {"text", "json"},
		"tokens create ci --role ":            {"viewer", "operator", "admin"},
		"completion ":                         {"bash", "zsh", "fish"},
		"completion f":                        {"fish"},
		"send --attach ":                      {":files"},
		"config check ":                       {":files"},
		"send mail.eml more":                  {":files"},
		"emails list --nothing=":              nil,
		"nothing li":                          nil,
		"emails list -- --st":                 nil,
		"destinations pause ticketing --note": {"--note"},
		"destinations pause --note x tick":    nil,
	} {
		got := offered(t, strings.Split(line, " ")...)
		if line == "emails " {
			require.Subset(t, got, []string{"list", "get", "approve", "retry", "discard"}, line)
			continue
		}
		require.Equal(t, want, got, line)
	}
	require.Contains(t, offered(t), "emails", "without a word")
	require.NotContains(t, offered(t), "__complete")
	require.Contains(t, call{args: []string{"__complete", "emails", "lis"}}.done(t), "list\t", "with its help")
	require.Equal(t, 2, call{args: []string{"completion", "tcsh"}}.run(t).code)
}

// TestShellsComplete runs the script of each shell that is installed, in that shell.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "mailctl")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a mail.eml"), nil, 0o600))

	const zsh = `
compdef() { }
_files() { print -l *.eml }
_describe() { print -l "${(@P)2%%:*}" }
eval "$(mailctl completion zsh)"
for line in "emails list --state h" "send a" "destinations pa"; do
  words=(mailctl ${(s: :)line}) CURRENT=$(( ${#words} ))
  _mailctl
done

unfunction _mailctl
mailctl completion zsh > "$HOME/_mailctl"
fpath+=("$HOME")
autoload -Uz _mailctl
words=(mailctl config sch) CURRENT=3
_mailctl
echo autoloaded`
	for shell, script := range map[string]string{
		"bash": `
eval "$(mailctl completion bash)"
complete -p mailctl
for line in "emails list --state h" "send a" "destinations pa"; do
  COMP_WORDS=(mailctl $line) COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  _mailctl
  printf '%s\n' "${COMPREPLY[@]}"
done`,
		"zsh": zsh,
		"fish": `
mailctl completion fish | source
for line in "mailctl emails list --state h" "mailctl send a" "mailctl destinations pa"
  complete -C $line
end`,
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip(shell, "is not installed")
			}
			run := exec.CommandContext(t.Context(), path, "-c", script)
			run.Dir = dir
			run.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+dir)
			out, err := run.CombinedOutput()
			require.NoError(t, err, "%s", out)
			text := strings.ReplaceAll(string(out), `\ `, " ")
			for _, want := range []string{"held", "a mail.eml", "pause"} {
				require.Contains(t, "\n"+text, "\n"+want, shell)
			}
			require.NotContains(t, text, "\nresume")
			require.NotContains(t, text, ":files")
			if shell == "zsh" {
				require.Contains(t, text, "\nschema\nautoloaded")
			}
		})
	}
}
