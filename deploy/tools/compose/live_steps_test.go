package compose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestComposeAsDocumented runs the first steps of deploy/docs/compose.md word by word, looks
// at what runs then, uses every kind of command, kills each container, and checks that
// nothing is lost.
func TestComposeAsDocumented(t *testing.T) {
	requireContainers(t)
	s := newStack(t)
	firstSteps(t, s)
	ok := true
	for _, part := range []struct {
		name string
		run  func(*testing.T, *stack)
	}{
		{"secrets", secretsStayWithTheirPrograms},
		{"roles", rolesHaveLeastRights},
		{"networks", networksEndWhereTheyShould},
		{"operators", operatorsWork},
		{"metrics", metricsAreRead},
		{"kills", nothingIsLost},
	} {
		ok = ok && t.Run(part.name, func(t *testing.T) {
			on := *s
			on.t = t
			part.run(t, &on)
		})
	}
}

func firstSteps(t *testing.T, s *stack) {
	commands := steps(t, "deploy/docs/compose.md", "First steps")
	require.Len(t, commands, 5)
	require.Equal(t, "deploy/compose/init.sh", commands[0])
	s.run(commands[0])
	s.run(commands[1])
	require.Contains(t, s.run(commands[2]), "accepted")
	s.until(`\bdelivered\b`, commands[3])
	var effects struct{ Effects, Refused int }
	require.NoError(t, json.Unmarshal([]byte(s.run(commands[4])), &effects))
	require.Equal(t, 1, effects.Effects)
	require.Zero(t, effects.Refused, "the destination accepts the signature")
}

// secretsStayWithTheirPrograms looks at every container, those that have ended too, as a
// user of docker can: no secret that it does not need, and none in a process list.
func secretsStayWithTheirPrograms(t *testing.T, s *stack) {
	secrets := s.secrets()
	containers := s.containers()
	require.Len(t, containers, len(project(t).Services))

	for name, c := range containers {
		var holds []string
		for variable, secret := range secrets {
			if strings.Contains(strings.Join(c.Config.Env, "\n"), secret) {
				holds = append(holds, variable)
			}
			require.NotContains(t, c.Path+" "+strings.Join(c.Args, " "), secret, "%s: the command shows %s", name, variable)
			for label, text := range c.Config.Labels {
				require.NotContains(t, text, secret, "%s: the label %s shows %s", name, label, variable)
			}
		}
		slices.Sort(holds)
		require.Equal(t, ownSecrets[name], holds, name)

		if !c.State.Running {
			continue
		}
		processes := s.run("docker compose top " + name)
		for variable, secret := range secrets {
			require.NotContains(t, processes, secret, "%s: the process list shows %s", name, variable)
		}
	}
}

// rolesHaveLeastRights connects as each role with its own password.
func rolesHaveLeastRights(t *testing.T, s *stack) {
	secrets := s.secrets()
	as := func(role, password, database, statement string) (string, error) {
		return s.try("docker compose exec -T -e PGPASSWORD=" + quote(secrets[password]) + " postgres psql -h 127.0.0.1 -U " + role +
			" -d " + database + " -v ON_ERROR_STOP=1 -At -c " + quote(statement))
	}

	for role, password := range map[string]string{"mailroom_ingress": "INGRESS_DB_PASSWORD", "mailroom_worker": "WORKER_DB_PASSWORD"} {
		out, err := as(role, password, "mailroom", "SELECT count(*) > 0 FROM emails")
		require.NoError(t, err, out)
		require.Equal(t, "t\n", out)
		for _, statement := range []string{"CREATE TABLE mine (n int)", "DROP TABLE emails", "TRUNCATE inbox", "DELETE FROM audit", "ALTER TABLE audit DISABLE TRIGGER ALL"} {
			out, err := as(role, password, "mailroom", statement)
			require.Error(t, err, "%s: %s", role, statement)
			require.Regexp(t, "permission denied|must be owner", out)
		}
	}
	for _, c := range []struct{ role, password, database string }{
		{"mailroom_ingress", "INGRESS_DB_PASSWORD", "temporal"}, {"mailroom_worker", "WORKER_DB_PASSWORD", "temporal_visibility"},
		{"temporal", "TEMPORAL_DB_PASSWORD", "mailroom"}, {"mailroom", "MAILROOM_DB_PASSWORD", "temporal"},
		{"mailroom_ingress", "INGRESS_DB_PASSWORD", "postgres"},
	} {
		out, err := as(c.role, c.password, c.database, "SELECT 1")
		require.Error(t, err, "%s reaches %s", c.role, c.database)
		require.Contains(t, out, "permission denied for database")
	}

	// What makes roles is safe to run again.
	s.run("docker compose exec -T postgres /docker-entrypoint-initdb.d/10-mailroom.sh")
	s.run("docker compose up --detach --wait --force-recreate --no-deps migrate grants temporal-schema temporal-setup || true")
	once := "migrate grants temporal-schema temporal-setup"
	s.until(`^(exited 0\n){4}$`, "docker compose ps --all --format '{{.State}} {{.ExitCode}}' "+once)
}

// ask makes an HTTP request from where a service is, and returns what is said of it.
func ask(s *stack, service, address string) string {
	out, _ := s.try("docker run --rm --network container:$(docker compose --profile '*' ps --quiet " + service + ") --entrypoint /probe mailroom:dev http://" + address + "/")
	return out
}

// networksEndWhereTheyShould asks from inside: what has no network in common is not found.
func networksEndWhereTheyShould(t *testing.T, s *stack) {
	for from, hidden := range map[string][]string{
		"destination": {"temporal:7233", "postgres:5432", "store:9000", "ingress:8080", "clamav:3310"},
		"store":       {"temporal:7233", "temporal-ui:8080", "postgres:5432", "clamav:3310", "destination:8090"},
		"ingress":     {"clamav:3310", "destination:8090"},
		"temporal-ui": {"postgres:5432", "store:9000"},
		"clamav":      {"temporal:7233", "postgres:5432", "store:9000"},
	} {
		for _, address := range hidden {
			require.Regexp(t, "no such host|server misbehaving|i/o timeout|context deadline exceeded", ask(s, from, address), "%s reaches %s", from, address)
		}
	}

	// A server that is reached answers at once, if not in HTTP. Temporal listens for those alone that use it.
	for _, from := range []string{"ingress", "worker", "temporal-ui"} {
		require.Contains(t, ask(s, from, "temporal-frontend:7233"), "malformed HTTP response", from)
	}
	require.Contains(t, ask(s, "postgres", "temporal:7233"), "connection refused")
	_, err := s.try("docker compose port temporal 7233 | grep -q :[1-9]")
	require.Error(t, err, "Temporal is published")
	require.Contains(t, s.run("docker compose run --rm -T --no-deps --entrypoint temporal temporal-setup workflow list"), "Completed")
}

// operatorsWork uses what operators use, each with the rights of its program in PostgreSQL.
func operatorsWork(t *testing.T, s *stack) {
	mailctl := "docker compose exec -T ingress mailctl "
	held := func(id string) string {
		s.run(mailctl + "send --to nowhere@yourapp.example --subject Held --event-id " + id)
		s.until(`(?m)^state +held\b`, mailctl+"emails get "+id)
		return id
	}

	for _, action := range []string{"retry", "discard"} {
		s.run(mailctl + "emails " + action + " " + held("held-"+action) + " --note tried")
	}
	s.until(`discarded`, mailctl+"emails get held-discard")
	s.run(mailctl + "emails edit " + held("held-edit") + " --recipient support@yourapp.example --note moved")
	s.until(`delivered`, mailctl+"emails get held-edit")
	s.run(mailctl + "emails raw held-edit")

	held("held-replay")
	s.run(mailctl + "destinations pause ticketing --note tried")
	s.run(mailctl + "destinations resume ticketing --note tried")
	s.run(mailctl + "destinations list")
	s.run(mailctl + "routes test --to support@yourapp.example")
	s.run(mailctl + "tokens create tried --role viewer")
	s.run(mailctl + "tokens list")
	s.run(mailctl + "tokens revoke tried")
	s.run(mailctl + "replay run --reason unroutable --note tried --yes")
	s.run(mailctl + "sources list")
	s.run(mailctl + "audit verify")
	out := s.run("docker compose logs ingress worker")
	require.NotContains(t, out, "permission denied", "a program lacks a right in PostgreSQL: grants.sql")
}

// metricsAreRead starts the profile observability as documented.
func metricsAreRead(t *testing.T, s *stack) {
	s.run(steps(t, "deploy/docs/compose.md", "Metrics")[0])
	out := s.until(`"health":"up".*"health":"up".*"health":"up"`, "docker compose exec -T prometheus wget -q -O - http://127.0.0.1:9090/api/v1/targets")
	require.NotContains(t, out, `"health":"down"`)
	require.Contains(t, ask(s, "prometheus", "temporal:7233"), "connection refused", "who reads metrics does not decide about mail")
	s.run("docker compose exec -T worker probe -print http://127.0.0.1:9465/readyz")
	s.run("docker compose --profile observability rm --stop --force prometheus")
}
