package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/secret"
)

// ingressExample uses what the other example does not.
const ingressExample = `
sources:
  - name: a
    path: /a
    profile: standard-webhooks
    schemes: [timestamp-hmac-header, standard-webhooks]
    secrets: [{ref: "env:WEBHOOK_SECRET"}, {ref: "env:STANDARD", scheme: standard-webhooks}]
    tenant: t
    answers: postmark
    signature_header: X-Hub-Signature
    signature_versions: [v1, v1a]
    allow_from: [10.0.0.0/8, 192.0.2.7, "2001:db8::/32"]
    encodings: [gzip]
    limit: {rate: 10, burst: 20, in_flight: 5}
    strict: true
  - {name: open, path: /open, profile: mailparse, schemes: [none], insecure: true, tenant: t, disabled: true}
tenants: [{name: t}]
ingress:
  trusted_proxies: [127.0.0.1]
  tls: {certificate: /c.pem, key: /k.pem, plain_listen: ":8088"}
  plain_http: redirect
  hsts: 8760h
  throttle: {failures: 7, per: 2m}
  backpressure: {depth: 1000, age: 10m}
  spool: 1GiB
  starts: {in_flight: 8, ahead: -1}
  keep_failures: 24h
encryption:
  keys:
    - {id: k1, ref: "env:KEY_HEX"}
    - {id: k2, ref: "env:KEY_BASE64"}
`

func ingressEnvironment() map[string]string {
	return map[string]string{
		"STANDARD": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
		"KEY_HEX":  strings.Repeat("0a", 32), "KEY_BASE64": strings.Repeat("A", 43) + "=",
	}
}

func TestLoadReadsTheIngress(t *testing.T) {
	t.Parallel()
	f, err := load(t.Context(), "m.yaml", []byte(ingressExample), RoleAll, resolver(environment(ingressEnvironment())), now())
	require.NoError(t, err)
	s := f.Sources[0]
	require.Equal(t, "postmark", s.Answers)
	require.Equal(t, "X-Hub-Signature", s.SignatureHeader)
	require.Equal(t, []string{"v1", "v1a"}, s.SignatureVersions)
	require.Equal(t, []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"}, s.AllowFrom)
	require.Equal(t, SourceLimit{Rate: 10, Burst: 20, InFlight: 5}, s.Limit)
	require.Len(t, s.Secrets, 2)
	open := f.Sources[1]
	require.True(t, open.Insecure && open.Disabled)
	require.Empty(t, open.Secrets)
	require.Equal(t, "mailparse", open.Answers)
	require.Equal(t, Ingress{
		TrustedProxies: []string{"127.0.0.1"},
		TLS:            TLS{Certificate: "/c.pem", Key: "/k.pem", PlainListen: ":8088"},
		PlainHTTP:      "redirect", HSTS: 8760 * time.Hour, Throttle: Throttle{Failures: 7, Per: 2 * time.Minute},
		Backpressure: Backpressure{Depth: 1000, Age: 10 * time.Minute}, Spool: 1 << 30,
		Starts: Starts{InFlight: 8, Ahead: -1}, KeepFailures: 24 * time.Hour,
	}, f.Ingress)
	require.Equal(t, strings.Repeat("0a", 32), f.Encryption.Keys[0].Key.Reveal())
	require.Equal(t, "k2", f.Encryption.Keys[1].ID)

	f, err = load(t.Context(), "m.yaml", []byte(example), RoleAll, resolver(environment(nil)), now())
	require.NoError(t, err)
	require.Equal(t, Ingress{
		PlainHTTP: "accept", Throttle: Throttle{Failures: 600, Per: time.Minute}, Spool: 2 << 30,
		Starts: Starts{InFlight: 32, Ahead: 64}, KeepFailures: 720 * time.Hour,
	}, f.Ingress)
	require.Equal(t, "X-Signature", f.Sources[0].SignatureHeader)
}

func TestIngressRules(t *testing.T) {
	t.Parallel()
	const plain = `
sources:
  - {name: a, path: /a, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}], tenant: t}
tenants: [{name: t}]
`
	source := func(old, text string) string { return strings.Replace(plain, old, text, 1) }
	more := func(text string) string { return source("tenant: t}", "tenant: t, "+text+"}") }
	schemes := func(text string) string { return source("schemes: [timestamp-hmac]", "schemes: "+text) }
	bare := func(text string) string {
		return strings.Replace(schemes(text), `, secrets: [{ref: "env:WEBHOOK_SECRET"}]`, "", 1)
	}
	for name, tc := range map[string]struct {
		text string
		want []string // empty: it is right
	}{
		"plain":           {plain, nil},
		"no secrets":      {bare("[bearer]"), []string{"sources[0].secrets (line 3) is missing"}},
		"empty secrets":   {source(`[{ref: "env:WEBHOOK_SECRET"}]`, "[]"), []string{"sources[0].secrets (line 3) must not be empty"}},
		"open":            {bare("[none], insecure: true"), nil},
		"open, not said":  {bare("[none]"), []string{"sources[0].insecure (line 3) must be true with the scheme none, which accepts requests from any caller"}},
		"open, denied":    {bare("[none], insecure: false"), []string{"sources[0].insecure (line 3) must be true with the scheme none"}},
		"open and closed": {schemes("[none, bearer], insecure: true"), []string{"sources[0].schemes (line 3) lists none with others"}},
		"open, secret":    {schemes("[none], insecure: true"), []string{"sources[0].secrets (line 3) has no effect"}},
		"insecure alone":  {more("insecure: true"), []string{"sources[0].insecure (line 3) belongs to the scheme none"}},
		"header":          {more("signature_header: X-A"), []string{"sources[0].signature_header (line 3) belongs to the scheme timestamp-hmac-header"}},
		"header used":     {source("[timestamp-hmac]", "[timestamp-hmac-header], signature_header: X-A"), nil},
		"versions":        {more("signature_versions: [v1, plain, sha256]"), nil},
		"version of others": {more("signature_versions: [v1, v1a]"), []string{
			`sources[0].signature_versions[1] (line 3) "v1a" is a version that no scheme of the source has`}},
		"versions of none": {source("[timestamp-hmac]", "[basic], signature_versions: [v1]"), []string{"sources[0].signature_versions[0]"}},
		"networks":         {more(`allow_from: [10.0.0.0/8, 10.1.2.3, "::1", "2001:db8::/32", 0.0.0.0/0]`), nil},
		"host bits": {more(`allow_from: [10.0.0.0/8, 10.1.2.3/8, "2001:db8::1/32"]`), []string{
			"sources[0].allow_from[1] (line 3) has bits set beyond its mask; the network is 10.0.0.0/8",
			"sources[0].allow_from[2] (line 3) has bits set beyond its mask; the network is 2001:db8::/32"}},
		"no network": {more(`allow_from: [10.0.0.0/33, 300.1.1.1, everywhere, "::ffff:10.0.0.1"]`), []string{
			"sources[0].allow_from[0] (line 3) must be an IP address", "sources[0].allow_from[1] (line 3) must be an IP address",
			"sources[0].allow_from[2] (line 3) must be an IP address", "sources[0].allow_from[3] (line 3) is an IPv4 address in IPv6 notation"}},
		"burst":           {more("limit: {rate: 10, burst: 10}"), nil},
		"burst below":     {more("limit: {rate: 10, burst: 9}"), []string{"sources[0].limit.burst (line 3) must be at least the rate, 10"}},
		"burst alone":     {more("limit: {burst: 9}"), []string{"sources[0].limit.burst (line 3) needs a rate"}},
		"limit bounds":    {more("limit: {rate: 0, in_flight: 1025}"), []string{"sources[0].limit.rate", "sources[0].limit.in_flight"}},
		"tolerance":       {more("tolerance: 25h"), []string{"sources[0].tolerance (line 3) must be at most 24h"}},
		"path of schemas": {source("path: /a", "path: /schemas"), []string{"sources[0].path (line 3)"}},
		"body over spool": {plain + "ingress: {spool: 24MiB}\n", []string{"sources[0].max_body (line 3) is more than ingress.spool holds, 24MiB"}},
		"proxies":         {plain + "ingress: {trusted_proxies: [10.0.0.1/8]}\n", []string{"ingress.trusted_proxies[0] (line 5) has bits set"}},
		"every proxy":     {plain + "ingress: {trusted_proxies: [0.0.0.0/0]}\n", []string{"ingress.trusted_proxies[0] (line 5) would trust X-Forwarded-For from every address"}},
		"grace":           {plain + "secrets: {grace: 12h}\n", nil},
		"grace too short": {plain + "secrets: {grace: 59s}\n", []string{"secrets.grace (line 5) must be from 1m to 720h"}},
		"grace too long":  {plain + "secrets: {grace: 721h}\n", []string{"secrets.grace (line 5) must be from 1m to 720h"}},
		"hsts alone":      {plain + "ingress: {hsts: 1h}\n", []string{"ingress.hsts (line 5) needs TLS"}},
		"hsts behind":     {plain + "ingress: {hsts: 1h, plain_http: refuse, trusted_proxies: [10.0.0.1]}\n", nil},
		"hsts with tls":   {plain + "ingress: {hsts: 1h, tls: {certificate: c, key: k}}\n", nil},
		"hsts of nothing": {plain + "ingress: {hsts: 999ms, tls: {certificate: c, key: k}}\n", []string{"ingress.hsts (line 5) must be at least 1s"}},
		"plain listen": {plain + "ingress: {tls: {certificate: c, key: k, plain_listen: \":80\"}}\n", []string{
			"ingress.tls.plain_listen (line 5) needs plain_http to be redirect or refuse"}},
		"plain listen used": {plain + "ingress: {plain_http: redirect, tls: {certificate: c, key: k, plain_listen: \":80\"}}\n", nil},
		"redirect blindly":  {plain + "ingress: {plain_http: redirect}\n", []string{"ingress.plain_http (line 5) redirect needs tls, or trusted_proxies"}},
		"refuse blindly":    {plain + "ingress: {plain_http: refuse}\n", []string{"ingress.plain_http (line 5) refuse needs tls, or trusted_proxies"}},
		"half of tls":       {plain + "ingress: {tls: {certificate: c}}\n", []string{"ingress.tls.key (line 5) is missing"}},
		"backpressure": {plain + "ingress: {backpressure: {depth: 0, age: 169h}, throttle: {per: 25h}}\n", []string{
			"ingress.backpressure.depth", "ingress.backpressure.age (line 5) must be at most 168h", "ingress.throttle.per (line 5) must be at most 24h"}},
		"key twice": {plain + "encryption: {keys: [{id: k, ref: \"env:KEY_HEX\"}, {id: k, ref: \"env:KEY_HEX\"}]}\n", []string{
			`encryption.keys[1].id (line 5) "k" is taken by encryption.keys[0]`}},
		"key that is none": {plain + "encryption: {keys: [{id: k, ref: \"env:WEBHOOK_SECRET\"}, {id: l, ref: \"env:ABSENT\"}]}\n", []string{
			"encryption.keys[0].ref (line 5) does not resolve to 32 bytes in hex or base64",
			"encryption.keys[1].ref (line 5) env:ABSENT resolves to nothing"}},
		"origins": {plain + "operator: {ui_origins: [\"http://127.0.0.1:8233\", \"https://temporal.example.com\", \"http://[::1]:1\"]}\n", nil},
		"no origins": {plain + "operator: {ui_origins: [\"*\", \"https://a.example/\", \"https://*.a.example\", \"null\", \"https://a.example:99999999\"]}\n", []string{
			"operator.ui_origins[0] (line 5) must be an origin", "operator.ui_origins[1] (line 5)", "operator.ui_origins[2] (line 5)",
			"operator.ui_origins[3] (line 5)", "operator.ui_origins[4] (line 5)"}},
		"standard secret": {source("env:WEBHOOK_SECRET", "env:STANDARD"), []string{
			"sources[0].secrets[0].ref (line 3) resolves to text that begins with whsec_, which only standard-webhooks can use; the source does not list it"}},
		"standard secret bound elsewhere": {source(`[timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}]`,
			`[timestamp-hmac, standard-webhooks], secrets: [{ref: "env:STANDARD", scheme: timestamp-hmac}]`), []string{
			"sources[0].secrets[0].ref (line 3) resolves to text that begins with whsec_, which only standard-webhooks can use, not timestamp-hmac"}},
		"standard secret used": {source(`[timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}]`,
			`[timestamp-hmac, standard-webhooks], secrets: [{ref: "env:STANDARD"}]`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t.Context(), "m.yaml", []byte(tc.text), RoleAll, resolver(environment(ingressEnvironment())), now())
			if len(tc.want) == 0 {
				require.NoError(t, err)
				return
			}
			var invalid *Invalid
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Mistakes, len(tc.want), "%v", err)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "MDEy", "no text of a secret")
		})
	}
}

func TestEncryptionKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		strings.Repeat("0a", 32):       true,
		strings.Repeat("0A", 32):       true,
		strings.Repeat("0g", 32):       false,
		strings.Repeat("0a", 31):       false,
		strings.Repeat("A", 43) + "=":  true,
		strings.Repeat("A", 43):        true,
		strings.Repeat("-", 42) + "8=": true,
		strings.Repeat("A", 42) + "=":  false,
		strings.Repeat("A", 44):        false,
		"":                             false,
		"passphrase":                   false,
	} {
		require.Equal(t, want, isKey(text), text)
	}
}

// A store that lives on renews what the file holds, also a second secret that
// was not there at the start; keys of encryption stay.
func TestLoadWithAStoreThatLives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
	}
	put("current", "one")
	put("key", strings.Repeat("0a", 32))
	path := filepath.Join(dir, "mailroom.yaml")
	put("mailroom.yaml", strings.ReplaceAll(`
sources:
  - name: a
    path: /a
    profile: mailparse
    schemes: [timestamp-hmac]
    secrets:
      - {ref: "file:DIR/current"}
      - {ref: "file:DIR/previous"}
      - {ref: "file:DIR/expired", expires: 2020-01-01T00:00:00Z}
      - {ref: "env:ABSENT"}
    tenant: t
tenants: [{name: t}]
encryption: {keys: [{id: k, ref: "file:DIR/key"}]}
`, "DIR", dir))
	store := secret.Open(environment(nil), slog.New(slog.DiscardHandler))
	f, err := LoadWith(t.Context(), path, RoleAll, store)
	require.NoError(t, err)
	s := f.Sources[0]
	require.Len(t, s.Secrets, 2)
	require.Equal(t, "one", s.Secrets[0].Key.Reveal())
	require.NotEmpty(t, s.Secrets[1].Key.Reveal(), "an empty key would verify any request")
	for _, key := range s.Secrets {
		require.Equal(t, store.Verifying(key.Ref), key.Key, "what is gone verifies nothing in the end")
	}

	done := make(chan error, 1)
	go func() { done <- store.Watch(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-done) })
	put("previous", "one")
	put("current", "two")
	put("key", strings.Repeat("0b", 32))
	require.Eventually(t, func() bool {
		return s.Secrets[0].Key.Reveal() == "two" && s.Secrets[1].Key.Reveal() == "one"
	}, 5*time.Second, 2*time.Millisecond)
	require.Equal(t, strings.Repeat("0a", 32), f.Encryption.Keys[0].Key.Reveal())

	once, err := Load(path, RoleAll, environment(nil))
	require.NoError(t, err)
	require.Len(t, once.Sources[0].Secrets, 2, "the expired one is absent")
	require.Equal(t, "two", once.Sources[0].Secrets[0].Key.Reveal())
}
