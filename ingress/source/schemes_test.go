package source

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/signature"
	"mailroom/shared/config"
)

const (
	whsec = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazAJTMRtDIM="
	whpk  = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" // RFC 8032 §7.1, test 1
)

func schemesConfig(schemes []string, secrets ...config.KeyRef) config.Source {
	return config.Source{
		Schemes: schemes, Secrets: secrets, Tolerance: time.Minute, SignatureHeader: "X-Signature",
	}
}

func ref(text string) config.KeyRef { return config.KeyRef{Key: config.NewSecret(text)} }

func refOf(scheme, text string) config.KeyRef {
	return config.KeyRef{Key: config.NewSecret(text), Scheme: scheme}
}

func TestSchemesInTheirOrder(t *testing.T) {
	t.Parallel()
	all := []string{"bearer", "standard-webhooks", "timestamp-hmac", "basic", "timestamp-hmac-header"}
	got, err := newSchemes(schemesConfig(all, ref("user:password")))
	require.NoError(t, err)
	require.Len(t, got, len(all))
	for i, s := range got {
		require.Equal(t, all[i], s.Name())
	}

	open := schemesConfig([]string{"none"})
	open.Insecure = true
	got, err = newSchemes(open)
	require.NoError(t, err)
	require.Equal(t, []signature.Scheme{signature.None{}}, got)
	require.True(t, acceptsUnsigned(open))
	require.False(t, acceptsUnsigned(schemesConfig(all)))
}

func TestSchemesRefuse(t *testing.T) {
	t.Parallel()
	insecure := func(c config.Source) config.Source { c.Insecure = true; return c }
	versions := func(c config.Source, v ...string) config.Source { c.SignatureVersions = v; return c }
	header := func(c config.Source, name string) config.Source { c.SignatureHeader = name; return c }
	hmac := []string{"timestamp-hmac"}

	for name, c := range map[string]struct {
		source config.Source
		texts  []string
	}{
		"none, not confirmed":    {schemesConfig([]string{"none"}), []string{`"none"`, "insecure: true"}},
		"none with another":      {insecure(schemesConfig([]string{"timestamp-hmac", "none"}, ref("a"))), []string{"must be the only one"}},
		"insecure without none":  {insecure(schemesConfig(hmac, ref("a"))), []string{"insecure: true"}},
		"none with a secret":     {insecure(schemesConfig([]string{"none"}, ref("a"))), []string{"secret 1 cannot be used by any scheme"}},
		"a scheme twice":         {schemesConfig([]string{"basic", "basic"}, ref("u:p")), []string{"listed twice"}},
		"unknown":                {schemesConfig([]string{"hmac"}, ref("a")), []string{`scheme "hmac" does not exist`}},
		"whsec_ alone":           {schemesConfig(hmac, ref(whsec)), []string{"no secret is configured for this scheme", "secret 1 cannot be used"}},
		"whpk_ and a secret":     {schemesConfig(hmac, ref("a"), ref(whpk)), []string{"secret 2 cannot be used by any scheme"}},
		"whsec_ contradicts":     {schemesConfig(hmac, ref("a"), refOf("timestamp-hmac", whsec)), []string{"secret 2 begins with whsec_ or whpk_", "not timestamp-hmac"}},
		"whpk_ contradicts":      {schemesConfig([]string{"basic"}, ref("u:p"), refOf("basic", whpk+":x")), []string{"secret 2 begins with"}},
		"unlisted scheme":        {schemesConfig(hmac, ref("a"), refOf("bearer", "b")), []string{"secret 2 cannot be used"}},
		"nothing for the second": {schemesConfig([]string{"standard-webhooks", "timestamp-hmac"}, ref(whsec)), []string{"timestamp-hmac: no secret is configured for this scheme"}},
		"two mistakes":           {schemesConfig([]string{"basic", "bearer"}, ref("two words")), []string{"basic: secret 1", "bearer: secret 1"}},
		"dead version":           {versions(schemesConfig(hmac, ref("a")), "v1", "v1a"), []string{`signature version "v1a" belongs to no scheme`}},
		"no version left":        {versions(schemesConfig([]string{"timestamp-hmac", "timestamp-hmac-header"}, ref("a")), "plain"), []string{"timestamp-hmac-header: none of the signature versions plain"}},
		"versions without any":   {versions(schemesConfig([]string{"bearer"}, ref("a")), "v1"), []string{`"v1" belongs to no scheme`}},
		"v1a without a key":      {versions(schemesConfig([]string{"standard-webhooks"}, ref("a")), "v1a"), []string{"no configured secret can verify the signature versions v1a"}},
		"bad whsec_":             {schemesConfig([]string{"standard-webhooks"}, ref("whsec_AAAA")), []string{"standard-webhooks: secret 1 must be base64"}},
		"header of another":      {header(schemesConfig([]string{"timestamp-hmac", "timestamp-hmac-header"}, ref("a")), "x-webhook-signature"), []string{"also read by the scheme timestamp-hmac"}},
		"header of credentials":  {header(schemesConfig([]string{"timestamp-hmac-header", "bearer"}, ref("a")), "authorization"), []string{"also read by the scheme bearer"}},
		"header not set":         {header(schemesConfig([]string{"timestamp-hmac-header"}, ref("a")), ""), []string{"name of the header"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newSchemes(c.source)
			for _, text := range c.texts {
				require.ErrorContains(t, err, text)
			}
			for _, secret := range []string{whsec[6:], whpk[5:], "two words", "AAAA"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// TestKeysOf checks that a key has the number of its place, and reaches only schemes that can use it.
func TestKeysOf(t *testing.T) {
	t.Parallel()
	c := schemesConfig([]string{"timestamp-hmac", "standard-webhooks", "bearer"},
		ref(whsec), ref("shared"), refOf("bearer", "token"), refOf("standard-webhooks", "hooks"), ref(whpk))
	for scheme, want := range map[string][]int{
		"timestamp-hmac": {2}, "standard-webhooks": {1, 2, 4, 5}, "bearer": {2, 3}, "none": nil,
	} {
		var got []int
		for _, k := range keysOf(c, scheme) {
			got = append(got, k.Number)
		}
		require.Equal(t, want, got, scheme)
	}
	_, err := newSchemes(c)
	require.NoError(t, err)
}

// TestSignatureHeaderMayBeThatOfAnUnlistedScheme configures the header of a scheme that is not listed.
func TestSignatureHeaderMayBeThatOfAnUnlistedScheme(t *testing.T) {
	t.Parallel()
	c := schemesConfig([]string{"timestamp-hmac-header"}, ref("a"))
	c.SignatureHeader = "x-webhook-signature"
	schemes, err := newSchemes(c)
	require.NoError(t, err)
	require.True(t, schemes[0].Present(http.Header{"X-Webhook-Signature": {strings.Repeat("a", 3)}}))
}
