package source

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

func newConfig() config.Source {
	return config.Source{
		Name: "mailparse", Path: "/webhooks/email", Profile: "mailparse", Schemes: []string{"timestamp-hmac"},
		Secrets: []config.KeyRef{{Key: config.NewSecret("a")}}, Tolerance: time.Minute, MaxBody: 1 << 20, Tenant: "default",
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Source)
		text   string
	}{
		"no name":         {func(c *config.Source) { c.Name = "" }, "name"},
		"relative path":   {func(c *config.Source) { c.Path = "hooks" }, "path"},
		"path parameter":  {func(c *config.Source) { c.Path = "/hooks/:id" }, "path"},
		"unknown profile": {func(c *config.Source) { c.Profile = "other" }, `profile "other"`},
		"unknown answers": {func(c *config.Source) { c.Answers = "other" }, `answers "other"`},
		"no scheme":       {func(c *config.Source) { c.Schemes = nil }, "scheme"},
		"unknown scheme":  {func(c *config.Source) { c.Schemes = []string{"none"} }, `scheme "none"`},
		"no secret":       {func(c *config.Source) { c.Secrets = nil }, "no secret"},
		"empty secret":    {func(c *config.Source) { c.Secrets[0].Key = config.Secret{} }, "secret 1 is empty"},
		"other's secret":  {func(c *config.Source) { c.Secrets[0].Scheme = "standard-webhooks" }, "no secret"},
		"no cap":          {func(c *config.Source) { c.MaxBody = 0 }, "max_body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := newConfig()
			c.change(&cfg)
			_, err := New(cfg, config.Tenant{Name: "default"})
			require.ErrorContains(t, err, c.text)
		})
	}
}

func TestResolveNamesEveryMistake(t *testing.T) {
	t.Parallel()
	first, second := newConfig(), newConfig()
	first.Tenant = "missing"
	second.Name, second.Profile = "second", "other"
	_, err := Resolve(&config.File{
		Sources: []config.Source{first, second, newConfig()},
		Tenants: []config.Tenant{{Name: "default"}},
	})
	require.ErrorContains(t, err, `source mailparse: tenant "missing"`)
	require.ErrorContains(t, err, `source second: profile "other"`)

	sources, err := Resolve(&config.File{Sources: []config.Source{newConfig()}, Tenants: []config.Tenant{{Name: "default"}}})
	require.NoError(t, err)
	require.Len(t, sources, 1)
	require.Equal(t, int64(1<<20), sources[0].MaxBody)
	require.Equal(t, http.StatusUnauthorized, sources[0].Status(fault.SignatureInvalid))
}

func TestSourceHasItsConfiguration(t *testing.T) {
	t.Parallel()
	c := newConfig()
	c.Schemes, c.Secrets = []string{"none"}, nil // what Insecure belongs to
	c.Strict, c.Disabled, c.Insecure = true, true, true
	c.AllowFrom, c.Encodings = []string{"192.0.2.0/24"}, []string{"gzip"}
	c.Limit = config.SourceLimit{Rate: 1, Burst: 2, InFlight: 3}
	src, err := New(c, config.Tenant{Name: "default"})
	require.NoError(t, err)
	require.True(t, src.Strict)
	require.True(t, src.Disabled)
	require.True(t, src.Insecure)
	require.Equal(t, c.AllowFrom, src.AllowFrom)
	require.Equal(t, c.Encodings, src.Encodings)
	require.Equal(t, c.Limit, src.Limit)
	require.Equal(t, c, src.Config)
}

func TestHold(t *testing.T) {
	t.Parallel()
	owned, err := New(newConfig(), config.Tenant{Name: "default", Domains: []string{"YourApp.example", "second.example"}})
	require.NoError(t, err)
	withoutDomains, err := New(newConfig(), config.Tenant{Name: "default"})
	require.NoError(t, err)
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@other.example", i)
	}

	for name, c := range map[string]struct {
		source     *Source
		recipients []string
		held       bool
	}{
		"ours":               {owned, []string{"a@yourapp.example"}, false},
		"ours in upper case": {owned, []string{"A@YOURAPP.EXAMPLE"}, false},
		"in angle brackets":  {owned, []string{" <a@yourapp.example> "}, false},
		"rooted domain":      {owned, []string{"a@yourapp.example."}, false},
		"one of two":         {owned, []string{"x@other.example", "a@second.example"}, false},
		"none":               {owned, nil, false},
		"no domains":         {withoutDomains, []string{"x@other.example"}, false},
		"quoted local part":  {owned, []string{`"x@other.example"@yourapp.example`}, false},
		"foreign":            {owned, []string{"x@other.example"}, true},
		"subdomain":          {owned, []string{"a@mail.yourapp.example"}, true},
		"suffix":             {owned, []string{"a@notyourapp.example"}, true},
		"ours before the @":  {owned, []string{`"a@yourapp.example"@other.example`}, true},
		"no @":               {owned, []string{"yourapp.example"}, true},
		"empty":              {owned, []string{""}, true},
		"many":               {owned, many, true},
		"the last of many":   {owned, append(strings.Split(strings.Join(many, ","), ","), "a@yourapp.example"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := c.source.Hold(c.recipients)
			if !c.held {
				require.Nil(t, hold)
				return
			}
			require.Equal(t, contract.RecipientForeign, hold.Reason)
			require.NotContains(t, hold.Detail, "@")
			require.NotContains(t, hold.Detail, "other.example")
		})
	}
}
