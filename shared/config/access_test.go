package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const accessFile = `
sources:
  - {name: mailparse, path: /webhooks/email, profile: mailparse, schemes: [timestamp-hmac], tenant: a, secrets: [{ref: "env:S"}]}
tenants: [{name: a}, {name: b}]
`

// accessEnvironment has the secrets that the files below name.
func accessEnvironment() map[string]string {
	return map[string]string{"S": "s", "T": "t", "U": "u", "O": "o"}
}

func TestAccessIsRead(t *testing.T) {
	t.Parallel()
	f, err := load(t.Context(), "mailroom.yaml", []byte(accessFile+`
operators:
  - {name: ci, roles: {a: operator, b: viewer}, token: {ref: "env:T"}}
access:
  public_url: https://mailroom.example.com
  session: {idle: 1h}
  token_login: false
  oidc:
    issuer: https://id.example.com/realms/x
    client_id: mailroom
    client_secret: {ref: "env:O"}
    scopes: [profile, groups]
    groups:
      - {group: mail-operators, role: operator, tenants: [a]}
      - {group: mail-admins, role: admin}
`), RoleAll, resolver(environment(accessEnvironment())), now())
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "operator", "b": "viewer"}, f.Operators[0].Roles)
	require.False(t, f.Access.AllowsToken())
	require.Equal(t, SessionLimit{Idle: time.Hour, Absolute: 24 * time.Hour}, f.Access.Session)
	o := f.Access.OIDC
	require.Equal(t, "o", o.ClientSecret.Key.Reveal())
	require.Equal(t, []string{"openid", "profile", "groups"}, o.Scopes)
	require.Equal(t, "groups", o.GroupsClaim)
	require.Equal(t, "preferred_username", o.NameClaim)
	require.Equal(t, []OIDCGroup{
		{Group: "mail-operators", Role: "operator", Tenants: []string{"a"}}, {Group: "mail-admins", Role: "admin"},
	}, o.Groups)

	f, err = load(t.Context(), "mailroom.yaml", []byte(accessFile), RoleAll, resolver(environment(accessEnvironment())), now())
	require.NoError(t, err)
	require.True(t, f.Access.AllowsToken())
	require.Equal(t, SessionLimit{Idle: 8 * time.Hour, Absolute: 24 * time.Hour}, f.Access.Session)
}

func TestMistakesOfAccess(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text string
		want []string
	}{
		"schema": {`
operators: [{name: x, role: root, roles: {a: boss}, token: {ref: "env:T"}}]
access: {public: 1, session: {idle: 0}, oidc: {issuer: https://x.example, groups: []}}`, []string{
			"operators[0].role: ", "operators[0].roles.a: ", "access.public: ", "access.session.idle: ",
			"access.oidc.client_id: is missing", "access.oidc.groups: must not be empty",
		}},
		"operators": {`
operators:
  - {name: x, token: {ref: "env:T"}}
  - {name: y, roles: {c: viewer}, token: {ref: "env:U"}}`, []string{
			"operators[0].role: is missing", `operators[1].roles.c: no tenant is named "c"`,
		}},
		"reserved": {`
operators:
  - {name: policy, role: admin, token: {ref: "env:T"}}
  - {name: y, owner: Mailroom, role: viewer, token: {ref: "env:U"}}`, []string{
			"operators[0].name: is a name that Mailroom itself acts under", "operators[1].owner: is a name that Mailroom itself acts under",
		}},
		"plain http":  {"access: {public_url: 'http://mailroom.example.com'}", []string{"access.public_url: must begin with https://"}},
		"with a path": {"access: {public_url: 'https://x.example/'}", []string{"access.public_url: must be an origin without a path"}},
		"no way in":   {"access: {token_login: false}", []string{"access.token_login: must be true"}},
		"idle":        {"access: {session: {idle: 25h}}", []string{"access.session.idle: must not be longer than absolute"}},
		"absolute":    {"access: {session: {absolute: 169h}}", []string{"access.session.absolute: must be at most 168h"}},
		"no public url": {`
access:
  oidc: {issuer: 'http://id.example', client_id: m, groups: [{group: g, role: admin, tenants: [a, z]}]}`, []string{
			"access.public_url: is missing", "access.oidc.issuer: must begin with https://",
			`access.oidc.groups[0].tenants[1]: no tenant is named "z"`,
		}},
		"secret": {`
access: {public_url: 'https://x.example', oidc: {issuer: 'https://id.example', client_id: m, client_secret: {ref: "env:NONE"}, groups: [{group: g, role: admin}]}}`,
			[]string{"access.oidc.client_secret.ref: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(mistakes(t, accessFile+row.text, accessEnvironment()), "\n")
			for _, want := range row.want {
				require.Contains(t, got, want)
			}
		})
	}
}
