package compose_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// members returns the services of each network, sorted.
func members(p *types.Project) map[string][]string {
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(p.AllServices())) {
		for network := range p.AllServices()[name].Networks {
			out[network] = append(out[network], name)
		}
	}
	return out
}

// TestNetworksConnectOnlyWhatTheyMust: each dependency has a network with those alone that use it.
func TestNetworksConnectOnlyWhatTheyMust(t *testing.T) {
	t.Parallel()
	p, err := load(filled(t), "*")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{
		"edge":              {"ingress", "worker"},
		"links":             {"store"},
		"web-ui":            {"temporal-ui"},
		"monitoring":        {"prometheus"},
		"database":          {"grants", "ingress", "migrate", "postgres", "worker"},
		"temporal-database": {"postgres", "temporal", "temporal-schema"},
		"objects":           {"ingress", "store", "worker"},
		"temporal":          {"ingress", "temporal", "temporal-setup", "temporal-ui", "worker"},
		"scanner":           {"clamav", "worker"},
		"destination":       {"destination", "worker"},
		"metrics":           {"ingress", "prometheus", "temporal", "worker"},
		"updates":           {"clamav"},
	}, members(p))

	// Temporal obeys every client: it listens in the network of its clients alone.
	temporal := p.Services["temporal"]
	require.Empty(t, temporal.Ports)
	require.Equal(t, []string{"temporal-frontend"}, temporal.Networks["temporal"].Aliases)
	require.Contains(t, strings.Join(temporal.Command, " "), "BIND_ON_IP=$(getent hosts temporal-frontend ")
	require.NotContains(t, temporal.Environment, "BIND_ON_IP")
}

// ownSecrets lists what init.sh makes that each service is given.
var ownSecrets = map[string][]string{
	"ingress": {"INGRESS_DB_PASSWORD", "MAILROOM_ENCRYPTION_KEY", "OPERATOR_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY", "WEBHOOK_SECRET"},
	"worker":  {"MAILROOM_ENCRYPTION_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY", "TICKETING_SECRET", "WORKER_DB_PASSWORD"},
	"migrate": {"MAILROOM_DB_PASSWORD"}, "grants": {"MAILROOM_DB_PASSWORD"},
	"postgres": {"INGRESS_DB_PASSWORD", "MAILROOM_DB_PASSWORD", "POSTGRES_PASSWORD", "TEMPORAL_DB_PASSWORD", "WORKER_DB_PASSWORD"},
	"store":    {"S3_ACCESS_KEY", "S3_SECRET_KEY"},
	"temporal": {"TEMPORAL_DB_PASSWORD"}, "temporal-schema": {"TEMPORAL_DB_PASSWORD"},
	"destination": {"TICKETING_SECRET"},
}

// TestPasswordsAreNoArguments: what makes the roles hands psql their passwords out of sight.
func TestPasswordsAreNoArguments(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "psql"), []byte("#!/bin/sh\necho \"$@\"\nenv >&2\n"), 0o700))
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(root, "deploy/compose/postgres-init.sh"))
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "POSTGRES_USER=postgres"}
	passwords := regexp.MustCompile(`[A-Z]+_DB_PASSWORD`).FindAllString(read(t, "deploy/compose/postgres-init.sh"), -1)
	for _, name := range passwords {
		cmd.Env = append(cmd.Env, name+"=given-"+strings.ToLower(name))
	}

	var arguments, environment strings.Builder
	cmd.Stdout, cmd.Stderr = &arguments, &environment
	require.NoError(t, cmd.Run())
	require.Contains(t, arguments.String(), "ON_ERROR_STOP")
	require.NotContains(t, arguments.String(), "given-")
	require.Contains(t, environment.String(), "given-mailroom_db_password")
}

// TestEachProgramHasItsOwnSecrets: no service is given a secret that it does not use.
func TestEachProgramHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	env := filled(t)
	p, err := load(maps.Clone(env), "*")
	require.NoError(t, err)
	for name, s := range p.Services {
		var given []string
		for variable, secret := range env {
			for _, value := range s.Environment {
				if value != nil && strings.Contains(*value, secret) && !slices.Contains(given, variable) {
					given = append(given, variable)
				}
			}
			require.NotContains(t, strings.Join(append(s.Command, s.Entrypoint...), " "), secret, "%s shows %s in its process list", name, variable)
		}
		slices.Sort(given)
		require.Equal(t, ownSecrets[name], given, name)
	}
}
