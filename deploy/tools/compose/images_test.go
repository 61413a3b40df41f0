package compose_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// imageVersion is what the images that this test builds say of themselves.
const imageVersion = "v9.8.7-test"

// docker runs a docker command and returns what it wrote.
func docker(t *testing.T, args ...string) (string, error) {
	t.Helper()
	began := time.Now()
	out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
	t.Logf("%5.1f s  docker %s", time.Since(began).Seconds(), strings.Join(args, " "))
	return string(out), err
}

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker(t, args...)
	require.NoError(t, err, out)
	return out
}

// build builds a target of the Dockerfile and returns its image.
func build(t *testing.T, target string, options ...string) string {
	t.Helper()
	image := "mailroom-images-test:" + target
	args := append([]string{"build", "--file", absolute(t, "deploy/images/Dockerfile"), "--target", target, "--tag", image,
		"--build-arg", "VERSION=" + imageVersion, "--build-arg", "COMMIT=0123456789abcdef"}, options...)
	mustDocker(t, append(args, absolute(t, "."))...)
	return image
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join(root, path))
	require.NoError(t, err)
	return abs
}

// started runs an image in the background, hardened, and returns its container.
func started(t *testing.T, image string, args ...string) string {
	t.Helper()
	all := append([]string{"run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"}, args...)
	id := strings.TrimSpace(mustDocker(t, append(all, image)...))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "logs", "--tail", "40", id).CombinedOutput()
			t.Log(string(out))
		}
		_ = exec.Command("docker", "rm", "--force", "--volumes", id).Run()
	})
	return id
}

// healthy waits until a command in the container succeeds.
func healthy(t *testing.T, id string, command ...string) string {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		out, err := exec.CommandContext(t.Context(), "docker", append([]string{"exec", id}, command...)...).CombinedOutput()
		if err == nil {
			return string(out)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%v never succeeds: %s", command, out)
		}
	}
}

func TestOurImages(t *testing.T) {
	requireContainers(t)
	images := map[string]string{"mailroom": build(t, "mailroom"), "sink": build(t, "sink"), "minio": build(t, "minio")}
	for target, image := range images {
		var list []struct {
			Config struct {
				User       string
				Entrypoint []string
			}
		}
		require.NoError(t, json.Unmarshal([]byte(mustDocker(t, "image", "inspect", image)), &list))
		require.Equal(t, "65532:65532", list[0].Config.User, target)
		out, err := docker(t, "run", "--rm", "--entrypoint", "sh", image, "-c", "true")
		require.Error(t, err, "%s has a shell", target)
		require.Contains(t, out, "not found")
	}

	hardened := []string{"run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none"}
	out := mustDocker(t, append(hardened, images["mailroom"], "version")...)
	require.Contains(t, out, imageVersion)
	require.Contains(t, out, "0123456789abcdef")
	out, err := docker(t, append(hardened, images["mailroom"], "ingress")...)
	require.Error(t, err)
	require.Contains(t, out, "DATABASE_URL", "an error names what is missing")
	mustDocker(t, append(hardened, "--entrypoint", "mailctl", images["mailroom"], "--help")...)

	sink := started(t, images["sink"], "--env", "SINK_LISTEN=0.0.0.0:8090", "--env", "SINK_FILE=/data/received.jsonl")
	require.Contains(t, healthy(t, sink, "probe", "-print", "http://127.0.0.1:8090/healthz"), `"ok":true`)
	minio := started(t, images["minio"], "--env", "MINIO_ROOT_USER=somebody", "--env", "MINIO_ROOT_PASSWORD=some-password",
		"--tmpfs", "/tmp:mode=1777")
	healthy(t, minio, "probe", "http://127.0.0.1:9000/minio/health/ready")
}

// TestImageOfAnotherPlatform compiles for arm64 on any machine.
func TestImageOfAnotherPlatform(t *testing.T) {
	requireContainers(t)
	image := build(t, "mailroom", "--platform", "linux/arm64")
	require.Equal(t, "arm64", strings.TrimSpace(mustDocker(t, "image", "inspect", "--format", "{{.Architecture}}", image)))
	id := strings.TrimSpace(mustDocker(t, "create", "--platform", "linux/arm64", image))
	defer exec.Command("docker", "rm", id).Run()
	program := filepath.Join(t.TempDir(), "mailroom")
	mustDocker(t, "cp", id+":/mailroom", program)
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	require.Equal(t, "\x7fELF", string(content[:4]))
	require.Equal(t, byte(0xb7), content[18], "a program for arm64")
}

// TestAllInOneImage delivers an email, keeps it over a restart, and stops when it is told.
func TestAllInOneImage(t *testing.T) {
	requireContainers(t)
	image := build(t, "mailroom-dev")
	id := started(t, image, "--tmpfs", "/tmp:mode=1777,exec", "--tmpfs", "/run:mode=1777", "--volume", "/data",
		"--env", "OPERATOR_TOKEN=an-operator-token", "--env", "WEBHOOK_SECRET=a-webhook-secret",
		"--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::8081", "--publish", "127.0.0.1::8233")
	require.NotEqual(t, "0", strings.TrimSpace(mustDocker(t, "exec", id, "id", "-u")), "runs as root")
	healthy(t, id, "probe", "http://127.0.0.1:8080/readyz")

	mailctl := []string{"env", "MAILROOM_TOKEN=an-operator-token", "mailctl"}
	require.Contains(t, mustDocker(t, append([]string{"exec", id}, append(mailctl, "send", "--to", "support@yourapp.example", "--event-id", "all-in-one")...)...), "accepted")
	delivered := []string{"sh", "-c", "MAILROOM_TOKEN=an-operator-token mailctl emails get all-in-one | grep -q delivered"}
	healthy(t, id, delivered...)
	for _, port := range []string{"8081", "8233"} {
		address := strings.TrimSpace(strings.Split(mustDocker(t, "port", id, port), "\n")[0])
		out, err := exec.CommandContext(t.Context(), "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://"+address+"/").CombinedOutput()
		require.NoError(t, err, string(out))
		require.Regexp(t, "^[23]", string(out), port)
	}

	mustDocker(t, "stop", "--time", "60", id)
	state := strings.TrimSpace(mustDocker(t, "inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", id))
	require.Contains(t, []string{"0 false", "130 false", "143 false"}, state, "it was not killed")
	mustDocker(t, "start", id)
	healthy(t, id, delivered...)
}
