package stack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// Vars are environment variables by name.
type Vars map[string]string

// DevDefaults returns the secrets and credentials of development. They are for services on
// loopback only, where neither the calling environment nor .env sets others.
func DevDefaults() Vars {
	return Vars{ //nolint:gosec // published, and for loopback alone
		"WEBHOOK_SECRET":    "dev-webhook-secret",
		"TICKETING_SECRET":  "whsec_bWFpbHJvb20tZGV2ZWxvcG1lbnQtdGlja2V0aW5n",
		"ACCOUNTING_SECRET": "whsec_bWFpbHJvb20tZGV2ZWxvcG1lbnQtYWNjb3VudGluZw==",
		"OPERATOR_TOKEN":    "dev-operator-token",
		// 32 bytes of text in base64, as the others no secret.
		"MAILROOM_ENCRYPTION_KEY": "bWFpbHJvb20tZGV2ZWxvcG1lbnQta2V5LW5vLXNlY3I=",
		"S3_ACCESS_KEY":           "mailroom",
		"S3_SECRET_KEY":           "mailroom-dev-secret",
	}
}

// ComposeVariable is a variable that docker-compose.yml requires and the local stack never
// reads: a .env that sets it is made for Compose.
const ComposeVariable = "POSTGRES_PASSWORD"

// ForCompose reports whether the file at dotenv, which need not exist, is made for
// Compose. Its secrets are not those that README's commands use beside the local stack.
func ForCompose(dotenv string) (bool, error) {
	read, err := readDotEnv(dotenv)
	_, found := read[ComposeVariable]
	return found, err
}

// Resolve layers variables: the calling environment (as os.Environ returns it) is
// asked first, then the file at dotenv, which need not exist, then defaults.
func Resolve(environ []string, dotenv string, defaults Vars) (Vars, error) {
	vars := maps.Clone(defaults)
	if vars == nil {
		vars = Vars{}
	}

	read, err := readDotEnv(dotenv)
	if err != nil {
		return nil, err
	}
	maps.Copy(vars, read)

	for _, pair := range environ {
		if name, value, found := strings.Cut(pair, "="); found && name != "" {
			vars[name] = value
		}
	}
	return vars, nil
}

// readDotEnv returns what the file at path sets, nothing where there is none.
func readDotEnv(path string) (Vars, error) {
	file, err := os.Open(path) //nolint:gosec // the caller's own file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()

	read, err := parseDotEnv(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return read, nil
}

// Get returns the variable, "" where it is not set.
func (v Vars) Get(name string) string { return v[name] }

// With returns a copy in which the variables of other replace those of v.
func (v Vars) With(other Vars) Vars {
	merged := maps.Clone(v)
	maps.Copy(merged, other)
	return merged
}

// Except returns a copy without the variables whose names begin with one of the prefixes.
func (v Vars) Except(prefixes ...string) Vars {
	kept := Vars{}
	for name, value := range v {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			kept[name] = value
		}
	}
	return kept
}

// List returns the variables, sorted, in the form of os/exec.
func (v Vars) List() []string {
	pairs := make([]string, 0, len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		pairs = append(pairs, name+"="+v[name])
	}
	return pairs
}

// parseDotEnv reads NAME=value lines. Lines that are empty or begin with # are
// skipped; "export " may stand in front; a value in single quotes is taken as it
// is, one in double quotes knows \n, \t, \" and \\, any other ends before " #".
// Mistakes name the line and never its text, which may be a secret.
func parseDotEnv(r io.Reader) (Vars, error) {
	vars := Vars{}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}

		name, rest, found := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
		name = strings.TrimSpace(name)
		if !found || !isName(name) {
			return nil, fmt.Errorf("line %d is not NAME=value", number)
		}

		value, err := dotEnvValue(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("line %d (%s): %w", number, name, err)
		}
		vars[name] = value
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return vars, nil
}

func dotEnvValue(text string) (string, error) {
	if text == "" || (text[0] != '"' && text[0] != '\'') {
		if strings.HasPrefix(text, "#") {
			return "", nil
		}
		for _, comment := range []string{" #", "\t#"} {
			text, _, _ = strings.Cut(text, comment)
		}
		return strings.TrimSpace(text), nil
	}

	var value strings.Builder
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			rest := strings.TrimSpace(text[i+1:])
			if rest != "" && rest[0] != '#' {
				return "", errors.New("text after the closing quote")
			}
			return value.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(text):
			i++
			value.WriteString(unescape(text[i]))
		default:
			value.WriteByte(c)
		}
	}
	return "", errors.New("the closing quote is missing")
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case '"', '\\':
		return string(c)
	}
	return `\` + string(c)
}

func isName(name string) bool {
	for i, c := range name {
		letter := c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
