package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/secret"
)

const example = `
sources:
  - name: mailparse
    path: /webhooks/email
    profile: mailparse
    schemes: [timestamp-hmac]
    secrets:
      - {ref: "env:WEBHOOK_SECRET"}
      - {ref: "env:WEBHOOK_SECRET_PREVIOUS", expires: 2026-12-31T00:00:00Z}
    tolerance: 4m30s
    max_body: 20MiB
    tenant: default
tenants:
  - {name: default, domains: [YourApp.example]}
destinations:
  - name: ticketing
    url: "http://127.0.0.1:8090/tickets"
    secret: {ref: "env:TICKETING_SECRET"}
    allow_private: true
    timeout: 12s
    max_in_flight: 16
  - {name: accounting, url: "https://accounting.example/in", secret: {ref: "env:TICKETING_SECRET"}, idempotent: false}
routes:
  - {name: support, when: {recipient: "support@*", header: {X-Priority: "1*"}}, to: [ticketing]}
  - {name: invoices, when: {recipient: "invoices@*", source: mailparse, tenant: default}, to: [accounting, ticketing], hold: true}
attachments: {fetch_hosts: [], allowed_types: [Image/*], max_size: 1048576}
operators:
  - {name: anna, role: admin, token: {ref: "env:OPERATOR_TOKEN"}}
retry:
  deliver: 6h
`

func now() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

func environment(extra map[string]string) func(string) string {
	return func(name string) string {
		if v, ok := extra[name]; ok {
			return v
		}
		return map[string]string{
			"WEBHOOK_SECRET": "first", "WEBHOOK_SECRET_PREVIOUS": "second",
			"TICKETING_SECRET": "third", "OPERATOR_TOKEN": "fourth",
		}[name]
	}
}

// resolver resolves once, as Load does.
func resolver(getenv func(string) string) Resolver {
	return once{secret.Open(getenv, slog.New(slog.DiscardHandler))}
}

// mistakes loads text and returns what is wrong as "path: text".
func mistakes(t *testing.T, text string, env map[string]string) []string {
	t.Helper()
	_, err := load(t.Context(), "mailroom.yaml", []byte(text), RoleAll, resolver(environment(env)), now())
	var invalid *Invalid
	require.ErrorAs(t, err, &invalid)
	out := make([]string, len(invalid.Mistakes))
	for i, m := range invalid.Mistakes {
		out[i] = m.Path + ": " + m.Text
	}
	return out
}

func TestLoadReadsEveryFieldAndDefault(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, []byte(example), 0o600))

	f, err := Load(path, RoleAll, environment(nil))
	require.NoError(t, err)

	s := f.Sources[0]
	require.Equal(t, 4*time.Minute+30*time.Second, s.Tolerance)
	require.Equal(t, Bytes(20<<20), s.MaxBody)
	require.Len(t, s.Secrets, 2)
	require.Equal(t, "first", s.Secrets[0].Key.Reveal())
	require.Equal(t, "second", s.Secrets[1].Key.Reveal())
	require.Equal(t, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), s.Secrets[1].Expires.UTC())

	ticketing, ok := f.Destination("ticketing")
	require.True(t, ok)
	require.Equal(t, "third", ticketing.Secret.Key.Reveal())
	require.Equal(t, 12*time.Second, ticketing.Timeout)
	require.Equal(t, 16, ticketing.MaxInFlight)
	require.True(t, ticketing.HonoursKey())
	require.Equal(t, Breaker{Failures: 5, OpenFor: 30 * time.Second}, ticketing.Breaker)
	accounting, _ := f.Destination("accounting")
	require.Equal(t, 10*time.Second, accounting.Timeout)
	require.Equal(t, 32, accounting.MaxInFlight)
	require.False(t, accounting.HonoursKey())

	tenant, ok := f.Tenant("default")
	require.True(t, ok)
	require.Equal(t, []string{"yourapp.example"}, tenant.Domains)
	require.Equal(t, "1*", f.Routes[0].When.Header["X-Priority"])
	require.True(t, f.Routes[1].Hold)
	require.Equal(t, []string{"image/*"}, f.Attachments.AllowedTypes)
	require.Equal(t, Bytes(1<<20), f.Attachments.MaxSize)
	require.Equal(t, "fourth", f.Operators[0].Token.Key.Reveal())
	require.Equal(t, Retry{Deliver: 6 * time.Hour, Scan: 24 * time.Hour}, f.Retry)
	_, ok = f.Tenant("absent")
	require.False(t, ok)
}

func TestLoadFillsDefaults(t *testing.T) {
	t.Parallel()
	f, err := load(t.Context(), "m.yaml", []byte(`
sources:
  - {name: a, path: /a, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}], tenant: t}
tenants: [{name: t}]
routes:
attachments:
`), RoleAll, resolver(environment(nil)), now())
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, f.Sources[0].Tolerance)
	require.Equal(t, Bytes(25<<20), f.Sources[0].MaxBody)
	require.Equal(t, Bytes(25<<20), f.Attachments.MaxSize)
	require.Equal(t, Retry{Deliver: 24 * time.Hour, Scan: 24 * time.Hour}, f.Retry)
	require.Equal(t, UnmatchedNote, f.Unmatched)
}

func TestLoadNamesEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	text := `
sources:
  - name: mailparse
    path: /healthz
    profile: postmark
    schemes: [timestamp-hmac, telepathy]
    secrets: [{ref: "hunter2-literal"}]
    tolerance: 5
    max_body: 25 apples
    tenant: absent
    colour: blue
  - {name: mailparse, path: /b, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:ABSENT", scheme: other}]}
  - {name: bare, path: /schemas/email, profile: mailparse, schemes: [basic], tenant: default}
tenants:
  - {name: default, domains: [a.example]}
  - {name: second, domains: [A.example]}
destinations:
  - {name: d, url: "ftp://h/x", secret: {ref: "vault:kv/x"}, max_in_flight: 0}
  - {name: d, url: "https://u:hunter2@h/x", secret: {ref: "file:/nonexistent/secret"}}
routes:
  - {name: r, when: {recipient: "", source: absent, tenant: none}, to: [d, ghost]}
  - {name: r, to: []}
unmatched: maybe
operators:
  - {name: o, role: king, token: {ref: "env:WEBHOOK_SECRET"}}
  - {name: p, role: viewer, token: {ref: "env:WEBHOOK_SECRET"}}
`
	want := []string{
		`sources[0].path: "/healthz" is served by the ingress itself`,
		`sources[0].profile: "postmark" is not supported; supported: mailparse, standard-webhooks`,
		`sources[0].schemes[1]: "telepathy" is not supported; supported: timestamp-hmac, timestamp-hmac-header, standard-webhooks, basic, bearer, none`,
		`sources[0].secrets[0].ref: must be a reference to a secret, env:NAME, file:/path, vault:<mount>/<path>#<field> or aws-sm:<id>, never the secret itself`,
		`sources[0].tolerance: must be a duration above zero with its unit, such as 500ms, 30s, 5m or 1h30m`,
		`sources[0].max_body: must be a number of bytes above zero, alone or with its unit, such as 65536, 64KiB, 25MiB or 1GB`,
		`sources[0].tenant: no tenant is named "absent"`,
		`sources[0].colour: is not a field that Mailroom knows`,
		`sources[1].tenant: is missing`,
		`sources[2].secrets: is missing`,
		`sources[2].path: "/schemas/email" is served by the ingress itself`,
		`sources[1].name: "mailparse" is taken by sources[0]`,
		`sources[1].secrets[0].scheme: "other" is not among the schemes of the source`,
		`sources[1].secrets[0].ref: env:ABSENT resolves to nothing: the variable is not set`,
		`tenants[1].domains[0]: "A.example" belongs to tenants[0]`,
		`destinations[0].url: must begin with http:// or https://`,
		`destinations[0].secret.ref: must name a mount, a path and a field, as vault:<mount>/<path>#<field>`,
		`destinations[0].max_in_flight: must be at least 1`,
		`destinations[1].name: "d" is taken by destinations[0]`,
		`destinations[1].url: must not have a user or password; requests are signed with the secret`,
		`destinations[1].secret.ref: file:/nonexistent/secret resolves to nothing: there is no such file`,
		`routes[0].when.recipient: must be text that is not empty; * matches any run of characters`,
		`routes[0].when.source: no source is named "absent"`,
		`routes[0].when.tenant: no tenant is named "none"`,
		`routes[0].to[1]: no destination is named "ghost"`,
		`routes[1].name: "r" is taken by routes[0]`,
		`routes[1].to: must not be empty`,
		`unmatched: "maybe" is not supported; supported: note, hold`,
		`operators[0].role: "king" is not supported; supported: viewer, operator, admin`,
		`operators[1].token.ref: resolves to the same token as operators[0]`,
	}
	got := mistakes(t, text, nil)
	require.ElementsMatch(t, want, got)
	for _, line := range got {
		require.NotContains(t, line, "hunter2")
	}
}

func TestMistakesNameTheLine(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example, "tolerance: 4m30s", "tolerance: soon", 1)
	_, err := load(t.Context(), "conf/m.yaml", []byte(text), RoleAll, resolver(environment(nil)), now())
	require.EqualError(t, err, "configuration conf/m.yaml is not valid\n"+
		"  sources[0].tolerance (line 10) must be a duration above zero with its unit, such as 500ms, 30s, 5m or 1h30m")
}

func TestFileThatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"empty":         {"", "is empty"},
		"comment alone": {"# nothing\n", "is empty"},
		"list":          {"- a\n", "must be a mapping, not a list"},
		"text":          {"hello\n", "must be a mapping, not a string"},
		"broken":        {"sources: [\n\n", "line 2"},
		"tab":           {"sources:\n\t- a\n", "line 2"},
		"two documents": {"sources: []\n---\ntenants: []\n", "more than one"},
		"key twice":     {"tenants: []\ntenants: []\n", `line 2: mapping key "tenants" already defined at line 1`},
		"cycle":         {"tenants: &a [*a]\n", "contains itself"},
		"no sources":    {"tenants: [{name: a}]\n", "sources (line 1) is missing"},
		"large number":  {strings.Replace(example, "20MiB", "9223372036854775807KiB", 1), "sources[0].max_body"},
		"overflow":      {strings.Replace(example, "20MiB", "999999999999999GiB", 1), "larger than 63 bits"},
		"long duration": {strings.Replace(example, "4m30s", "999999999h", 1), "line 10"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t.Context(), "m.yaml", []byte(tc.text), RoleAll, resolver(environment(nil)), now())
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestLoadSaysThatTheFileIsMissing(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), RoleAll, environment(nil))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "MAILROOM_CONFIG")

	large := filepath.Join(t.TempDir(), "large.yaml")
	require.NoError(t, os.WriteFile(large, make([]byte, maxFile+1), 0o600))
	_, err = Load(large, RoleAll, environment(nil))
	require.ErrorContains(t, err, "larger than 1MiB")
}

func TestSecretsOfRotation(t *testing.T) {
	t.Parallel()

	t.Run("one beyond the first may be absent", func(t *testing.T) {
		t.Parallel()
		f, err := load(t.Context(), "m.yaml", []byte(example), RoleAll, resolver(environment(map[string]string{"WEBHOOK_SECRET_PREVIOUS": ""})), now())
		require.NoError(t, err)
		require.Len(t, f.Sources[0].Secrets, 1)
	})
	t.Run("the first may not", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{`sources[0].secrets[0].ref: env:WEBHOOK_SECRET resolves to nothing: the variable is not set`},
			mistakes(t, example, map[string]string{"WEBHOOK_SECRET": ""}))
	})
	t.Run("an expired one is kept", func(t *testing.T) {
		t.Parallel()
		f, err := load(t.Context(), "m.yaml", []byte(strings.Replace(example, "2026-12-31", "2026-01-31", 1)), RoleAll, resolver(environment(nil)), now())
		require.NoError(t, err)
		require.Len(t, f.Sources[0].Secrets, 2)
	})
	t.Run("one must be valid", func(t *testing.T) {
		t.Parallel()
		text := strings.Replace(example, `{ref: "env:WEBHOOK_SECRET"}`, `{ref: "env:WEBHOOK_SECRET", expires: 2026-10-31T23:59:59Z}`, 1)
		require.Equal(t, []string{`sources[0].secrets: holds no secret that is still valid: each has expired or is not set`},
			mistakes(t, text, map[string]string{"WEBHOOK_SECRET_PREVIOUS": ""}))
	})
	t.Run("the day alone is no expiry", func(t *testing.T) {
		t.Parallel()
		text := strings.Replace(example, "2026-12-31T00:00:00Z", "2026-12-31", 1)
		require.Equal(t, []string{`sources[0].secrets[1].expires: must be a time with its zone, such as 2026-12-31T00:00:00Z`},
			mistakes(t, text, nil))
	})
}

func TestSharedParts(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example, "    secret: {ref: \"env:TICKETING_SECRET\"}\n    allow_private: true",
		"    secret: &s {ref: \"env:TICKETING_SECRET\"}\n    allow_private: true", 1)
	text = strings.Replace(text, `in", secret: {ref: "env:TICKETING_SECRET"}`, `in", secret: {<<: *s}`, 1)
	f, err := load(t.Context(), "m.yaml", []byte(text), RoleAll, resolver(environment(nil)), now())
	require.NoError(t, err)
	require.Equal(t, "third", f.Destinations[1].Secret.Key.Reveal())
}

// The schema and the types say the same: each field of the one stands in the other.
func TestSchemaMatchesTypes(t *testing.T) {
	t.Parallel()
	schema, sentences, err := compileSchema()
	require.NoError(t, err)
	require.NotEmpty(t, sentences["reference"])

	var walk func(at string, typ reflect.Type, fields map[string]bool)
	walk = func(at string, typ reflect.Type, fields map[string]bool) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			fields[at] = true
			return
		}
		for field := range typ.Fields() {
			if key := field.Tag.Get("yaml"); key != "-" {
				walk(at+"/"+key, field.Type, fields)
			}
		}
	}
	inTypes := map[string]bool{}
	walk("", reflect.TypeFor[File](), inTypes)
	// These are KeyRef in Go and take a reference alone in the file.
	for _, one := range []string{"/destinations/secret", "/operators/token", "/access/oidc/client_secret"} {
		delete(inTypes, one+"/expires")
		delete(inTypes, one+"/scheme")
	}
	require.Equal(t, inTypes, schemaFields(schema))
}

func TestLoadBoundsTimeouts(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example, "timeout: 12s", "timeout: 121s", 1)
	require.NotEqual(t, example, text)
	require.Equal(t, []string{"destinations[0].timeout: must be at most 2m0s"}, mistakes(t, text, nil))
}

// TestHostsThatNothingIsFetchedFromAreRefused: a list that does nothing looked like a
// rule that is kept.
func TestHostsThatNothingIsFetchedFromAreRefused(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"attachments.fetch_hosts: must be empty: attachments that are links are not fetched yet"},
		mistakes(t, strings.Replace(example, "fetch_hosts: []", "fetch_hosts: [files.provider.example]", 1), nil))
}

// A role that does not use a secret still checks the form of its reference.
func TestTheFormOfEveryReferenceIsChecked(t *testing.T) {
	t.Parallel()
	text := []byte(`
sources: [{name: s, path: /s, profile: mailparse, schemes: [basic], secrets: [{ref: "vault:no-field"}], tenant: t}]
tenants: [{name: t}]
destinations: [{name: d, url: "http://x.example", secret: {ref: "aws-sm:x#"}}]
operators: [{name: ada, role: admin, token: {ref: "vault:kv/../x#token"}}]
`)
	for _, role := range []Role{RoleIngress, RoleWorker, RoleAll} {
		_, err := load(t.Context(), "m.yaml", text, role, resolver(environment(nil)), now())
		var invalid *Invalid
		require.ErrorAs(t, err, &invalid, role)
		var paths []string
		for _, m := range invalid.Mistakes {
			paths = append(paths, m.Path)
		}
		require.Equal(t, []string{"sources[0].secrets[0].ref", "destinations[0].secret.ref", "operators[0].token.ref"}, paths, role)
	}
}

func TestARoleResolvesItsOwnSecretsAlone(t *testing.T) {
	t.Parallel()
	text := []byte(`
sources: [{name: s, path: /s, profile: mailparse, schemes: [basic], secrets: [{ref: "env:SOURCE"}], tenant: t}]
tenants: [{name: t}]
destinations: [{name: d, url: "http://x.example", secret: {ref: "env:DESTINATION"}}]
operators: [{name: ada, role: admin, token: {ref: "env:TOKEN"}}]
encryption: {keys: [{id: k, ref: "env:KEY"}]}
`)
	key := strings.Repeat("0", 64)
	var mu sync.Mutex
	var asked []string
	getenv := func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, name)
		return key
	}
	for _, row := range []struct {
		role Role
		want []string
	}{
		{RoleIngress, []string{"KEY", "SOURCE", "TOKEN"}},
		{RoleWorker, []string{"DESTINATION", "KEY"}},
	} {
		asked = nil
		_, err := load(t.Context(), "m.yaml", text, row.role, resolver(getenv), now())
		require.NoError(t, err)
		require.Subset(t, asked, row.want)
		for _, other := range []string{"SOURCE", "DESTINATION", "TOKEN"} {
			require.Equal(t, slices.Contains(row.want, other), slices.Contains(asked, other), "%v asks for %s", row.role, other)
		}
	}
}

// TestPrivateDestinationWasRetriedForever: without allow_private its calls were refused
// one by one, and its mail waited.
func TestPrivateDestinationWasRetriedForever(t *testing.T) {
	t.Parallel()
	const public = `"https://accounting.example/in"`
	for host, want := range map[string]string{
		"127.0.0.1:9950": "a loopback or private address", "localhost:9950": "a loopback or private address",
		"10.1.2.3": "a loopback or private address", "[::1]:9950": "a loopback or private address",
		"[::ffff:192.168.1.1]": "a loopback or private address", "169.254.169.254": "a link-local, metadata or reserved address",
	} {
		got := mistakes(t, strings.Replace(example, public, `"http://`+host+`/in"`, 1), nil)
		require.Len(t, got, 1, host)
		require.Contains(t, got[0], `destinations[1].url: destination "accounting" is at `+strings.Trim(strings.TrimSuffix(host, ":9950"), "[]")+", "+want)
	}
	require.Contains(t, mistakes(t, strings.Replace(example, public, `"http://localhost/in"`, 1), nil)[0], "set allow_private: true")

	for _, allowed := range []string{`"http://10.1.2.3/in", allow_private: true`, `"http://localhost/in", allow_private: true`, `"http://relay.internal/in"`} {
		_, err := load(t.Context(), "m.yaml", []byte(strings.Replace(example, public, allowed, 1)), RoleAll, resolver(environment(nil)), now())
		require.NoError(t, err, allowed)
	}
}
