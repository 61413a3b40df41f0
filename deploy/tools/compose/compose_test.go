// Package compose checks docker-compose.yml, where no container engine runs:
// that it loads, that nothing in it floats, and that the programs would find
// what they read. It has no code of its own.
package compose_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"mailroom/shared/config"
	"mailroom/shared/contract"
)

const root = "../../.."

// secretName finds the variables whose values must not be shown.
var secretName = regexp.MustCompile(`(PASSWORD|PWD|SECRET|TOKEN|_KEY|ROOT_USER)`)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(text)
}

// variables returns what docker-compose.yml takes from the environment, by name.
func variables(t *testing.T) map[string]template.Variable {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &raw))
	return template.ExtractVariables(raw, template.DefaultPattern)
}

// filled returns a different value for each required variable.
func filled(t *testing.T) types.Mapping {
	t.Helper()
	env := types.Mapping{}
	for name, v := range variables(t) {
		if v.Required {
			env[name] = "given-" + strings.ToLower(name)
		}
	}
	// The one secret that has a form.
	env["MAILROOM_ENCRYPTION_KEY"] = hex.EncodeToString(bytes.Repeat([]byte("k"), 32))
	return env
}

func load(env types.Mapping, profiles ...string) (*types.Project, error) {
	return loadFiles(env, []string{"docker-compose.yml"}, profiles...)
}

// loadFiles loads files of the repository, each over those before it, with the services of profiles.
func loadFiles(env types.Mapping, names []string, profiles ...string) (*types.Project, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}

	var files []types.ConfigFile
	for _, name := range names {
		files = append(files, types.ConfigFile{Filename: filepath.Join(abs, name)})
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: abs, ConfigFiles: files, Environment: env,
	}, loader.WithProfiles(profiles))
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(filled(t))
	require.NoError(t, err)
	return p
}

// ours are the services whose images are built here, for them or for another of them.
func ours(p *types.Project) map[string]types.ServiceConfig {
	built := map[string]bool{}
	for _, s := range p.Services {
		built[s.Image] = built[s.Image] || s.Build != nil
	}
	out := map[string]types.ServiceConfig{}
	for name, s := range p.Services {
		if built[s.Image] {
			out[name] = s
		}
	}
	return out
}

// TestEachImageIsBuiltOnce: of the services that share an image one builds it, before the
// others start, and no registry is asked for it.
func TestEachImageIsBuiltOnce(t *testing.T) {
	t.Parallel()
	p := project(t)
	builds := map[string]string{}
	for name, s := range ours(p) {
		if s.Build == nil {
			require.Equal(t, types.PullPolicyNever, s.PullPolicy, name)
			continue
		}
		require.Equal(t, types.PullPolicyBuild, s.PullPolicy, name)
		require.Empty(t, builds[s.Image], "%s is built twice", s.Image)
		builds[s.Image] = name
	}
	require.Equal(t, "migrate", builds["mailroom:dev"])
	require.Contains(t, p.Services["grants"].DependsOn, "migrate")
	for _, name := range []string{"ingress", "worker"} {
		require.Contains(t, p.Services[name].DependsOn, "grants", "`docker compose up %s` makes its image", name)
	}
}

func getenv(s types.ServiceConfig) func(string) string {
	return func(name string) string {
		if v := s.Environment[name]; v != nil {
			return *v
		}
		return ""
	}
}

func TestTheStackIsWhole(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, []string{
		"ingress", "worker", "migrate", "grants", "postgres", "store", "clamav", "destination",
		"temporal", "temporal-schema", "temporal-setup", "temporal-ui",
	}, project(t).ServiceNames())
}

func TestEveryImageIsPinned(t *testing.T) {
	t.Parallel()
	exact := regexp.MustCompile(`:v?(\d+\.\d+(\.\d+)?|\d{4}-\d{2}-\d{2})(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?$`)
	for name, s := range project(t).Services {
		require.NotEmpty(t, s.Image, name)
		require.NotContains(t, s.Image, ":latest", name)
		if _, built := ours(project(t))[name]; !built {
			require.Regexp(t, exact, s.Image, name)
		}
	}

	for _, m := range regexp.MustCompile(`(?m)^ARG \w+_IMAGE=(\S+)$`).FindAllStringSubmatch(read(t, "deploy/images/Dockerfile"), -1) {
		require.Regexp(t, exact, m[1], "Dockerfile")
	}
	stages := map[string]bool{"scratch": true}
	for _, m := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\S+)$`).
		FindAllStringSubmatch(read(t, "deploy/images/Dockerfile"), -1) {
		if !stages[m[1]] && !strings.HasSuffix(m[1], "_IMAGE}") {
			require.Regexp(t, exact, m[1], "Dockerfile")
		}
		stages[m[2]] = true
	}
	for name, s := range ours(project(t)) {
		if s.Build != nil {
			require.True(t, stages[s.Build.Target], "%s: the Dockerfile has no target %q", name, s.Build.Target)
		}
	}
}

func TestStartOrderWaitsForHealth(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, s := range p.Services {
		for on, dependency := range s.DependsOn {
			target := p.Services[on]
			switch dependency.Condition {
			case types.ServiceConditionHealthy:
				require.NotNil(t, target.HealthCheck, "%s waits for the health of %s", name, on)
				require.NotEmpty(t, target.HealthCheck.Test, "%s waits for the health of %s", name, on)
				require.False(t, target.HealthCheck.Disable, "%s waits for the health of %s", name, on)
			case types.ServiceConditionCompletedSuccessfully:
				require.True(t, strings.HasPrefix(target.Restart, "on-failure"), "%s waits for the end of %s", name, on)
			default:
				t.Errorf("%s starts beside %s without waiting for it", name, on)
			}
		}
	}
	for _, name := range []string{"ingress", "worker", "postgres", "store", "clamav", "temporal", "destination"} {
		require.NotNil(t, p.Services[name].HealthCheck, name)
	}
}

func TestProgramsFindWhatTheyRead(t *testing.T) {
	t.Parallel()
	roles := map[string]config.Role{"ingress": config.RoleIngress, "worker": config.RoleWorker}
	notRead := map[string][]string{
		"ingress": {"PORT", "MAILROOM_WORKER_METRICS_LISTEN", "CLAMD_ADDRESS", "MAILROOM_HANDOVER"},
		"worker":  {"PORT", "MAILROOM_WORKER_METRICS_LISTEN", "MAILROOM_LISTEN", "MAILROOM_OPERATOR_LISTEN", "MAILROOM_HANDOVER"},
	}
	p := project(t)
	for name, skip := range notRead {
		s := p.Services[name]
		names := []string{"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}
		for _, v := range config.Variables() {
			names = append(names, v.Name)
		}
		for _, variable := range names {
			if slices.Contains(skip, variable) {
				continue
			}
			require.NotEmpty(t, getenv(s)(variable), "%s: %s", name, variable)
		}

		env, err := config.ReadEnv(getenv(s), roles[name])
		require.NoError(t, err, name)
		source := mounted(s, env.ConfigPath)
		require.NotEmpty(t, source, "%s: nothing is mounted at %s", name, env.ConfigPath)
		_, err = config.Load(source, roles[name], getenv(s))
		require.NoError(t, err, name)
		require.NotEmpty(t, writable(s, env.SpoolDir), "%s: %s is read-only", name, env.SpoolDir)
		require.Contains(t, strings.Join(s.HealthCheck.Test, " "), "/readyz", name)
		_, err = config.Load(source, config.RoleAll, getenv(s))
		require.Error(t, err, "%s is given secrets that another role needs", name)
	}
	ingress := p.Services["ingress"]
	require.Contains(t, ingress.HealthCheck.Test[2], port(getenv(ingress)("MAILROOM_LISTEN"))+"/readyz")
	worker := p.Services["worker"]
	require.Contains(t, worker.HealthCheck.Test[2], port(getenv(worker)("MAILROOM_METRICS_LISTEN"))+"/readyz")
	require.NotEmpty(t, getenv(p.Services["migrate"])("DATABASE_URL"))
}

// port returns ":8080" of "0.0.0.0:8080".
func port(address string) string { return address[strings.LastIndexByte(address, ':'):] }

// mounted returns the file of the host that a container sees at target.
func mounted(s types.ServiceConfig, target string) string {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && v.Target == target {
			return v.Source
		}
	}
	return ""
}

// writable names what makes a directory writable under a read-only file system.
func writable(s types.ServiceConfig, dir string) string {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Target == dir && !v.ReadOnly {
			return v.Source
		}
	}
	for _, mount := range s.Tmpfs {
		if strings.HasPrefix(mount, dir+":") {
			return mount
		}
	}
	return ""
}

func TestNoSecretHasADefault(t *testing.T) {
	t.Parallel()
	for name, v := range variables(t) {
		if !secretName.MatchString(name) {
			require.False(t, v.Required, "%s is required and looks like no secret", name)
			continue
		}
		require.Empty(t, v.DefaultValue, name)
		require.Equal(t, !strings.HasSuffix(name, "_PREVIOUS"), v.Required, name)

		env := filled(t)
		delete(env, name)
		_, err := load(env)
		if v.Required {
			require.ErrorContains(t, err, name)
		}
	}

	// What a service is given under the name of a secret was given by a person.
	given := filled(t)
	for service, s := range project(t).Services {
		for name, value := range s.Environment {
			secret := secretName.MatchString(name) || name == "DATABASE_URL"
			if !secret || value == nil || *value == "" {
				continue
			}
			found := false
			for variable, text := range given {
				found = found || (secretName.MatchString(variable) && strings.Contains(*value, text))
			}
			require.True(t, found, "%s: %s holds a secret that stands in the file", service, name)
		}
	}
}

// TestTheHeaderNamesEveryOption: what the file takes from .env is made by init.sh or named.
func TestTheHeaderNamesEveryOption(t *testing.T) {
	t.Parallel()
	text := read(t, "docker-compose.yml")
	header, script := text[:strings.Index(text, "\nname:")], read(t, "deploy/compose/init.sh")
	for name, v := range variables(t) {
		if v.Required {
			require.Regexp(t, `\b`+name+`\b`, script, "init.sh makes no %s", name)
			continue
		}
		require.Regexp(t, `\b`+name+`\b`, header, "the header leaves %s out", name)
	}
}

func TestOurServicesAreHardened(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, s := range p.Services {
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true", name)
		require.False(t, s.Privileged, name)
		require.Empty(t, s.NetworkMode, name)
		require.NotNil(t, s.Deploy, name)
		require.NotNil(t, s.Deploy.Resources.Limits, name)
		require.Positive(t, int64(s.Deploy.Resources.Limits.MemoryBytes), name)
		require.Equal(t, "10m", s.Logging.Options["max-size"], name)
	}
	for name, s := range ours(p) {
		require.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, s.User, "%s must not run as root", name)
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Empty(t, s.CapAdd, name)
	}
	require.Len(t, ours(p), 5)
	for _, name := range []string{"ingress", "worker"} {
		require.Greater(t, time.Duration(*p.Services[name].StopGracePeriod), 30*time.Second, name)
	}
}

func TestOnlyTheIngressCanBeOpened(t *testing.T) {
	t.Parallel()
	env := filled(t)
	env["MAILROOM_WEBHOOK_ADDRESS"] = "0.0.0.0"
	p, err := load(env)
	require.NoError(t, err)
	var open []string
	for name, s := range p.Services {
		for _, published := range s.Ports {
			if published.HostIP != "127.0.0.1" {
				open = append(open, name+" "+published.Published)
			}
		}
		for network := range s.Networks {
			require.Contains(t, p.Networks, network)
		}
	}
	require.Equal(t, []string{"ingress 8080"}, open)
	for name, network := range p.Networks {
		require.Equal(t, !slices.Contains([]string{"edge", "links", "web-ui", "monitoring", "updates"}, name), network.Internal, name)
	}

	for _, s := range project(t).Services {
		for _, published := range s.Ports {
			require.Equal(t, "127.0.0.1", published.HostIP)
		}
	}
}

func TestWhatIsMountedExists(t *testing.T) {
	t.Parallel()
	for name, s := range project(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			info, err := os.Stat(v.Source)
			require.NoError(t, err, name)
			require.False(t, info.IsDir(), name)
			require.True(t, v.ReadOnly, "%s: %s", name, v.Target)
			if strings.HasSuffix(v.Source, ".sh") {
				require.NotZero(t, info.Mode()&0o100, "%s is not executable", v.Source)
			}
		}
	}
}

func TestSearchAttributesAreRegistered(t *testing.T) {
	t.Parallel()
	script := read(t, "deploy/compose/temporal-setup.sh")
	for name, kind := range map[string]string{
		contract.AttrState: "Keyword", contract.AttrReason: "Keyword", contract.AttrTenant: "Keyword",
		contract.AttrSource: "Keyword", contract.AttrRoute: "Keyword", contract.AttrDestinations: "KeywordList",
	} {
		require.Regexp(t, `--name `+name+` --type `+kind+`\b`, script)
	}
}

// TestWhatClamdCannotReadIsReported: an encrypted archive or document, and what is
// above a limit, must not pass as clean.
func TestWhatClamdCannotReadIsReported(t *testing.T) {
	t.Parallel()
	options := strings.Split(read(t, "deploy/compose/clamd.conf"), "\n")
	require.Contains(t, options, "AlertEncrypted yes")
	require.Contains(t, options, "AlertExceedsMax yes")
}
