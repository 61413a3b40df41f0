package compose_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

func TestAnotherStoreTakesThePlaceOfMinIO(t *testing.T) {
	t.Parallel()
	env := filled(t)
	env["S3_IMAGE"] = "registry.example/store:v1.2.3"
	p, err := loadFiles(env, []string{"docker-compose.yml", "deploy/compose/store.yaml"})
	require.NoError(t, err)
	store := p.Services["store"]
	require.Nil(t, store.Build, "another image must not be built from ours")
	require.Equal(t, "registry.example/store:v1.2.3", store.Image)
	require.Equal(t, "missing", store.PullPolicy)
	require.Empty(t, store.Command)
	require.Len(t, store.Ports, 1)
	require.Equal(t, "127.0.0.1", store.Ports[0].HostIP)
	require.Len(t, store.Volumes, 1)
	require.Equal(t, "versitygw", store.Volumes[0].Source)
	require.NotContains(t, store.Environment, "MINIO_ROOT_PASSWORD")
	require.Equal(t, env["S3_SECRET_KEY"], getenv(store)("ROOT_SECRET_KEY"))
	require.Contains(t, store.HealthCheck.Test, "http://127.0.0.1:9000/health")
	require.Contains(t, store.Networks, "objects")
}

// TestTheProxyIsWhatTheConfigurationTrusts: the range of Caddy's network is the one that
// its file and the documentation name.
func TestTheProxyIsWhatTheConfigurationTrusts(t *testing.T) {
	t.Parallel()
	env := filled(t)
	files := []string{"docker-compose.yml", "deploy/compose/caddy.yaml"}
	_, err := loadFiles(env, files)
	require.ErrorContains(t, err, "MAILROOM_DOMAIN")
	env["MAILROOM_DOMAIN"] = "mail.example.com"
	p, err := loadFiles(env, files)
	require.NoError(t, err)

	require.Equal(t, []string{"caddy", "ingress"}, members(p)["proxy"])
	require.Len(t, p.Networks["proxy"].Ipam.Config, 1)
	subnet := p.Networks["proxy"].Ipam.Config[0].Subnet
	trusted := regexp.MustCompile(`trusted_proxies: \[` + regexp.QuoteMeta(subnet) + `\]`)
	require.Regexp(t, trusted, read(t, "deploy/compose/caddy.yaml"))
	require.Regexp(t, trusted, read(t, "deploy/docs/compose.md"))
	require.Contains(t, p.Services["ingress"].Networks, "edge", "the networks of the file are added to")
	for network, of := range members(p) {
		require.True(t, network == "proxy" || !slices.Contains(of, "caddy") || !slices.Contains(of, "ingress"),
			"through %s the ingress sees an address of the proxy that it does not trust", network)
	}
}

// TestDocumentedOverridesLoad loads the override files of deploy/docs/compose.md over docker-compose.yml.
func TestDocumentedOverridesLoad(t *testing.T) {
	t.Parallel()
	loaded := func(heading string) *types.Project {
		abs, err := filepath.Abs(root)
		require.NoError(t, err)
		env := filled(t)
		env["BILLING_SECRET"] = "a-billing-secret"
		p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: abs, Environment: env, ConfigFiles: []types.ConfigFile{
			{Filename: filepath.Join(abs, "docker-compose.yml")},
			{Filename: "docker-compose.override.yml", Content: []byte(block(t, "deploy/docs/compose.md", heading, "yaml"))},
		}})
		require.NoError(t, err, heading)
		return p
	}

	p := loaded("Your configuration")
	require.Equal(t, "a-billing-secret", getenv(p.Services["worker"])("BILLING_SECRET"))
	require.NotContains(t, p.Services, "destination")

	p = loaded("Temporal elsewhere")
	for _, name := range []string{"ingress", "worker"} {
		s := p.Services[name]
		require.NotEmpty(t, getenv(s)("DATABASE_URL"), "%s keeps its environment", name)
		require.NotEmpty(t, mounted(s, "/etc/mailroom/mailroom.yaml"), "%s keeps its configuration", name)
		require.NotEmpty(t, mounted(s, "/temporal-tls"), name)
		for _, variable := range []string{"TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH"} {
			require.Regexp(t, "^/temporal-tls/", getenv(s)(variable), name)
		}
	}
}
