package rules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// TestRulesMatchWhatTheProviderSaid: SPF, DKIM, DMARC, type and mailbox as reported, and
// never unless a rule asks for them.
func TestRulesMatchWhatTheProviderSaid(t *testing.T) {
	t.Parallel()
	route := func(name string, w config.When) config.Route {
		return config.Route{Name: name, When: w, To: []string{"d"}}
	}
	routes := []config.Route{
		route("all", config.When{}),
		route("spf", config.When{Auth: config.WhenAuth{SPF: "*fail"}}),
		route("auth", config.When{Auth: config.WhenAuth{SPF: "pass", DKIM: "pass", DMARC: "pass"}}),
		route("type", config.When{Type: "email.*"}),
		route("box", config.When{Mailbox: "support@*"}),
	}
	tenants, destinations := []config.Tenant{{Name: "t"}}, []config.Destination{{Name: "d", Tenants: []string{"t"}}}
	r, err := New(routes, tenants, destinations)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		said mail.Reported
		want []string
	}{
		"nothing":     {mail.Reported{}, []string{"all"}},
		"soft fail":   {mail.Reported{Auth: mail.Auth{SPF: "SoftFail"}}, []string{"all", "spf"}},
		"two of them": {mail.Reported{Auth: mail.Auth{SPF: "pass", DKIM: "pass"}}, []string{"all"}},
		"all of them": {mail.Reported{Auth: mail.Auth{SPF: "pass", DKIM: "PASS", DMARC: "pass"}, Type: "email.received"}, []string{"all", "auth", "type"}},
		"mailbox":     {mail.Reported{Mailbox: "Support@x.example", Type: "mail"}, []string{"all", "box"}},
	} {
		m := &ledger.Manifest{Recipients: []string{"a@b.example"}, Reported: c.said}
		require.Equal(t, c.want, r.Match(FactsOf(contract.Email{Tenant: "t"}, m, nil)).Routes, name)
	}
	e := r.Explain(Facts{Tenant: "t", Recipients: []string{"a@b.example"}, Reported: mail.Reported{Auth: mail.Auth{SPF: "CANARY"}}})
	require.Equal(t, `the reported auth.spf does not match "*fail"`, e.Rules[1].Why)

	changed := append([]config.Route{}, routes...)
	changed[1].When.Auth.SPF = "fail"
	require.NotEqual(t, versionOf(routes, tenants, destinations, false), versionOf(changed, tenants, destinations, false))
}
