package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/stretchr/testify/require"
)

// patience bounds one wait for containers: they compile, start and recover meanwhile.
const patience = 5 * time.Minute

// requireContainers skips a test where `make images-test` or `make compose-test` does not run it.
func requireContainers(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILROOM_CONTAINERS") == "" {
		t.Skip("runs with a container engine: make images-test, make compose-test")
	}
}

// stack is a copy of this repository in which docker-compose.yml runs as a project of its
// own, with free ports of this machine.
type stack struct {
	t     *testing.T
	dir   string
	vars  []string
	ports map[string]int // by the port that the documentation names
}

// newStack copies the repository. Its containers, volumes and networks go when the test ends.
func newStack(t *testing.T, vars ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), ports: map[string]int{}}
	abs, err := filepath.Abs(root)
	require.NoError(t, err)
	s.vars = append(os.Environ(), "COMPOSE_PROJECT_NAME="+strings.ToLower(t.Name()), "COMPOSE_PROGRESS=quiet")
	s.vars = append(s.vars, vars...)
	s.run(fmt.Sprintf("git -C %q ls-files -z --cached --others --exclude-standard | tar -C %q --null --files-from=- --ignore-failed-read -cf - 2>/dev/null | tar -xf -", abs, abs))

	s.publish()
	s.trustTheScanner()
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := s.try("docker compose --profile '*' ps --all; docker compose --profile '*' logs --tail 25 2>&1 | cut -c1-300")
			t.Log(logs)
		}
		_, _ = s.try("docker compose --profile '*' down --volumes --timeout 5")
	})
	return s
}

// publish has Compose use free ports, so that a stack that runs here already is left alone.
func (s *stack) publish() {
	text := "services:\n"
	for _, service := range []struct {
		name  string
		ports []string
	}{{"ingress", []string{"8080", "8081"}}, {"store", []string{"9000"}}, {"temporal-ui", []string{"8233"}}, {"prometheus", []string{"9090"}}} {
		var list []string
		for _, port := range service.ports {
			inside := map[string]string{"8233": "8080"}[port]
			if inside == "" {
				inside = port
			}
			s.ports[port] = freePort(s.t)
			list = append(list, fmt.Sprintf(`"127.0.0.1:%d:%s"`, s.ports[port], inside))
		}
		text += "  " + service.name + ": {ports: !override [" + strings.Join(list, ", ") + "]}\n"
	}
	// A file beside the others: with COMPOSE_FILE the override file is not read by itself.
	s.write("docker-compose.override.yml", text)
}

// trustTheScanner turns the age of signatures off where ClamAV is a stand-in, whose
// signatures have none.
func (s *stack) trustTheScanner() {
	standin, err := s.try("docker image inspect --format '{{index .Config.Labels \"mailroom.standin\"}}' " + project(s.t).Services["clamav"].Image)
	if err != nil || strings.TrimSpace(standin) != "true" {
		return
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "deploy/compose/mailroom.yaml"))
	require.NoError(s.t, err)
	s.write("mailroom-test.yaml", strings.Replace(string(text), "max_signature_age: 168h", "max_signature_age: off", 1))
	s.vars = append(s.vars, "MAILROOM_COMPOSE_CONFIG=./mailroom-test.yaml")
}

func (s *stack) write(name, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

// try runs a command of a shell in the copy and returns what it wrote.
func (s *stack) try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = s.dir, s.vars
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	return both.String(), err
}

// run is try for a command that has to succeed.
func (s *stack) run(command string) string {
	s.t.Helper()
	began := time.Now()
	out, err := s.try(command)
	require.NoError(s.t, err, "%s\n%s", command, out)
	s.t.Logf("%5.1f s  %s", time.Since(began).Seconds(), command)
	return out
}

// until repeats a command until its output matches pattern, and returns it.
func (s *stack) until(pattern, command string) string {
	s.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	matches := regexp.MustCompile(pattern)
	for {
		out, err := s.try(command)
		if err == nil && matches.MatchString(out) {
			return out
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("%s never wrote %q, at last %v:\n%s", command, pattern, err, out)
		}
	}
}

// sql runs a statement in a database of the stack as the superuser.
func (s *stack) sql(statement string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run("docker compose exec -T postgres psql -U postgres -d mailroom -v ON_ERROR_STOP=1 -At -c " + quote(statement)))
}

// secrets returns what init.sh wrote.
func (s *stack) secrets() map[string]string {
	s.t.Helper()
	env, err := dotenv.Read(filepath.Join(s.dir, ".env"))
	require.NoError(s.t, err)
	return env
}

// container is what `docker inspect` shows of one.
type container struct {
	Path   string
	Args   []string
	Config struct {
		User   string
		Env    []string
		Labels map[string]string
	}
	State      struct{ Running bool }
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
	}
}

// containers returns all containers of the stack by service.
func (s *stack) containers() map[string]container {
	s.t.Helper()
	out := s.run("docker inspect $(docker compose --profile '*' ps --all --quiet)")
	var list []container
	require.NoError(s.t, json.Unmarshal([]byte(out), &list))
	all := map[string]container{}
	for _, c := range list {
		all[c.Config.Labels["com.docker.compose.service"]] = c
	}
	return all
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// steps returns the commands of the first block of shell commands under a heading.
func steps(t *testing.T, document, heading string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(block(t, document, heading, "sh")), "\n")
}

// block returns the first block of a language under a heading.
func block(t *testing.T, document, heading, language string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, document), "\n## "+heading+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	_, text, found = strings.Cut(text, "```"+language+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "```")
	return text
}
