package compose_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestComposeWithAnotherStore delivers an email with an attachment through versitygw.
func TestComposeWithAnotherStore(t *testing.T) {
	requireContainers(t)
	s := newStack(t, "COMPOSE_FILE=docker-compose.yml:deploy/compose/store.yaml:docker-compose.override.yml")
	commands := steps(t, "deploy/docs/compose.md", "First steps")
	s.run(commands[0])
	s.run(commands[1])
	require.Contains(t, s.run("docker compose images store"), "versity/versitygw")

	s.write("picture.eml", "From: a@elsewhere.example\r\nTo: support@yourapp.example\r\nSubject: Picture\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/csv\r\n"+
		"Content-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--b--\r\n")
	s.run("docker compose exec -T ingress mailctl send --event-id picture --to support@yourapp.example - <picture.eml")
	s.until(`\bdelivered\b`, "docker compose exec -T ingress mailctl emails get picture")
	require.Contains(t, s.run("docker compose exec -T ingress mailctl emails raw picture --part mime"), "filename=a.csv")
	s.run("docker compose kill --signal KILL store")
	s.run("docker compose up --detach --wait --no-build --no-recreate store")
	require.Contains(t, s.run("docker compose exec -T ingress mailctl emails raw picture --part mime"), "filename=a.csv")
}

// TestComposeProxy posts through Caddy, with a certificate that Caddy makes for localhost.
func TestComposeProxy(t *testing.T) {
	requireContainers(t)
	s := newStack(t, "COMPOSE_FILE=docker-compose.yml:deploy/compose/caddy.yaml:docker-compose.override.yml", "MAILROOM_DOMAIN=localhost")
	source := "deploy/compose/mailroom.yaml"
	if _, err := os.Stat(filepath.Join(s.dir, "mailroom-test.yaml")); err == nil {
		source = "mailroom-test.yaml"
	}
	text, err := os.ReadFile(filepath.Join(s.dir, source))
	require.NoError(t, err)
	s.write("mailroom-proxy.yaml", string(text)+"\ningress: {trusted_proxies: [172.30.80.0/28]}\n")
	s.vars = append(s.vars, "MAILROOM_COMPOSE_CONFIG=./mailroom-proxy.yaml")

	override, err := os.ReadFile(filepath.Join(s.dir, "docker-compose.override.yml"))
	require.NoError(t, err)
	s.write("docker-compose.override.yml", string(override)+"  caddy: {ports: !override [\"127.0.0.1:"+strconv.Itoa(freePort(t))+":443\"]}\n")
	s.run("deploy/compose/init.sh")
	s.run("docker compose up --detach --wait")
	address := strings.TrimSpace(s.run("docker compose port caddy 443"))
	port := address[strings.LastIndexByte(address, ':')+1:]

	curl := "curl -sk -o /dev/null -w '%{http_code}' https://localhost:" + port
	s.until("^404$", curl+"/healthz")
	require.Equal(t, "401", s.run(curl+"/webhooks/email -H 'Content-Type: application/json' -d '{}'"))
	// The sender counts by its own address, not by that of the proxy.
	s.until(`(?m)^.*signature_missing`, "docker compose exec -T ingress mailctl sources failures mailparse")
	require.NotContains(t, s.run("docker compose exec -T ingress mailctl sources failures mailparse"), "172.30.80.")
}
