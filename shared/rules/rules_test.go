package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// compile returns rules whose destinations serve the tenants, and "default" and "".
func compile(t *testing.T, routes []config.Route, tenants ...config.Tenant) *rules.Rules {
	t.Helper()
	served := []string{"", "default"}
	for _, one := range tenants {
		served = append(served, one.Name)
	}
	var destinations []config.Destination
	for _, one := range routes {
		for _, name := range one.To {
			destinations = append(destinations, config.Destination{Name: name, Tenants: served})
		}
	}
	r, err := rules.New(routes, tenants, destinations)
	require.NoError(t, err)
	return r
}

func TestMatchConditions(t *testing.T) {
	t.Parallel()
	facts := rules.Facts{
		Recipients: []string{"other@yourapp.example", "Support@YourApp.example"},
		Sender:     "Ann@Partner.example",
		Subject:    "Invoice 42 overdue",
		Headers: []mail.Header{
			{Name: "List-Id", Value: "<news.partner.example>"},
			{Name: "X-Priority", Value: "5"},
			{Name: "x-priority", Value: "1 (Highest)"},
		},
		Source: "mailparse", Tenant: "default",
	}
	for name, tc := range map[string]struct {
		when config.When
		want bool
	}{
		"nothing asked":             {config.When{}, true},
		"recipient":                 {config.When{Recipient: "support@*"}, true},
		"other recipient":           {config.When{Recipient: "sales@*"}, false},
		"sender":                    {config.When{Sender: "*@partner.example"}, true},
		"other sender":              {config.When{Sender: "*@partner"}, false},
		"subject":                   {config.When{Subject: "*invoice*"}, true},
		"other subject":             {config.When{Subject: "invoice"}, false},
		"header":                    {config.When{Header: map[string]string{"list-id": "*news*"}}, true},
		"any value of header":       {config.When{Header: map[string]string{"X-PRIORITY": "1*"}}, true},
		"absent header":             {config.When{Header: map[string]string{"X-None": "*"}}, false},
		"one header of two":         {config.When{Header: map[string]string{"List-Id": "*", "X-None": "*"}}, false},
		"source":                    {config.When{Source: "mailparse"}, true},
		"other source":              {config.When{Source: "postmark"}, false},
		"tenant":                    {config.When{Tenant: "default"}, true},
		"tenant's name in capitals": {config.When{Tenant: "DEFAULT"}, false},
		"a star is no tenant":       {config.When{Tenant: "*"}, false},
		"other tenant":              {config.When{Tenant: "acme"}, false},
		"all of it":                 {config.When{Recipient: "support@*", Sender: "ann@*", Subject: "*42*", Source: "mail*", Tenant: "default"}, true},
		"all but one":               {config.When{Recipient: "support@*", Sender: "bob@*", Subject: "*42*"}, false},
		"recipient is not sender":   {config.When{Recipient: "ann@*"}, false},
		"two recipients, not both":  {config.When{Recipient: "other@*support@*"}, false},
	} {
		r := compile(t, []config.Route{{Name: "r", When: tc.when, To: []string{"d"}}})
		require.Equal(t, len(tc.when.Header) > 0, r.NeedsHeaders(), name)
		require.Equal(t, tc.want, len(r.Match(facts).Routes) == 1, name)
	}
}

func TestMatchKeepsOrderWithoutRepeats(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{
		{Name: "z", To: []string{"two", "one"}},
		{Name: "none", When: config.When{Sender: "x"}, To: []string{"never"}},
		{Name: "a", To: []string{"one", "three", "three"}, Hold: true},
	})
	got := r.Match(rules.Facts{})
	require.Equal(t, []string{"z", "a"}, got.Routes)
	require.Equal(t, []string{"two", "one", "three"}, got.Destinations)
	require.Equal(t, []string{"a"}, got.Held)
}

func TestMatchCountsOwnRecipientsOnly(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{
		{Name: "support", When: config.When{Recipient: "support@*"}, To: []string{"ticketing"}},
		{Name: "all", To: []string{"archive"}},
	}, config.Tenant{Name: "acme", Domains: []string{"Acme.example."}}, config.Tenant{Name: "open"})
	for name, tc := range map[string]struct {
		tenant     string
		recipients []string
		any        bool
		routes     []string
		foreign    bool
	}{
		"own":             {"acme", []string{"support@ACME.example"}, false, []string{"support", "all"}, false},
		"root's dot":      {"acme", []string{"support@acme.example."}, false, []string{"support", "all"}, false},
		"in brackets":     {"acme", []string{" <support@acme.example> "}, false, []string{"support", "all"}, false},
		"foreign":         {"acme", []string{"support@evil.example"}, false, nil, true},
		"subdomain":       {"acme", []string{"support@x.acme.example"}, false, nil, true},
		"ends alike":      {"acme", []string{"support@notacme.example"}, false, nil, true},
		"two ats":         {"acme", []string{"support@acme.example@evil.example"}, false, nil, true},
		"quoted at":       {"acme", []string{`"support@x"@acme.example`}, false, []string{"all"}, false},
		"no at":           {"acme", []string{"support"}, false, nil, true},
		"foreign support": {"acme", []string{"support@evil.example", "bob@acme.example"}, false, []string{"all"}, false},
		"waived":          {"acme", []string{"support@evil.example"}, true, []string{"support", "all"}, false},
		"no domains":      {"open", []string{"support@evil.example"}, false, []string{"support", "all"}, false},
		"nobody":          {"acme", nil, false, []string{"all"}, false},
	} {
		got := r.Match(rules.Facts{Tenant: tc.tenant, Recipients: tc.recipients, AnyRecipient: tc.any})
		require.Equal(t, tc.routes, got.Routes, name)
		require.Equal(t, tc.foreign, got.Foreign, name)
	}
}

func TestRouteHolds(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{
		{Name: "support", When: config.When{Recipient: "support@*"}, To: []string{"ticketing"}},
		{Name: "legal", When: config.When{Recipient: "legal@*"}, To: []string{"lawyers"}, Hold: true},
	}, config.Tenant{Name: "acme", Domains: []string{"acme.example"}})
	email := contract.Email{Source: "mailparse", Tenant: "acme"}
	for name, tc := range map[string]struct {
		recipient string
		any       bool
		want      contract.RouteResult
		reason    contract.Reason
	}{
		"routed":  {"support@acme.example", false, contract.RouteResult{Routes: []string{"support"}, Destinations: []string{"ticketing"}}, ""},
		"held":    {"legal@acme.example", false, contract.RouteResult{Routes: []string{"legal"}, Destinations: []string{"lawyers"}}, contract.ManualHold},
		"nowhere": {"bob@acme.example", false, contract.RouteResult{}, contract.Unroutable},
		"foreign": {"support@evil.example", false, contract.RouteResult{}, contract.RecipientForeign},
		"waived":  {"support@evil.example", true, contract.RouteResult{Routes: []string{"support"}, Destinations: []string{"ticketing"}}, ""},
	} {
		got := r.Route(contract.RouteInput{Email: email, AnyRecipient: tc.any}, &ledger.Manifest{Recipients: []string{tc.recipient}}, nil)
		if tc.reason == "" {
			require.Empty(t, got.Holds, name)
		} else {
			require.Len(t, got.Holds, 1, name)
			require.Equal(t, tc.reason, got.Holds[0].Reason, name)
			require.NotContains(t, got.Holds[0].Detail, "@", name)
		}
		got.Holds = nil
		require.Equal(t, tc.want, got, name)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string][]config.Route{
		"no name":      {{To: []string{"d"}}},
		"same name":    {{Name: "r", To: []string{"d"}}, {Name: "r", To: []string{"d"}}},
		"nowhere":      {{Name: "r"}},
		"empty header": {{Name: "r", To: []string{"d"}, When: config.When{Header: map[string]string{"": "x"}}}},
		"header twice": {{Name: "r", To: []string{"d"}, When: config.When{Header: map[string]string{"A": "x", "a": "y"}}}},
	} {
		_, err := rules.New(routes, nil, nil)
		require.Error(t, err, name)
	}
}

// TestEditDoesNotTakeMailPastARuleThatHoldsIt: by editing a matched property one person
// could release mail that needs more approvals.
func TestEditDoesNotTakeMailPastARuleThatHoldsIt(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{
		{Name: "support", When: config.When{Recipient: "support@*"}, To: []string{"ticketing"}},
		{Name: "legal", When: config.When{Recipient: "legal@*", Subject: "*contract*"}, To: []string{"lawyers"}, Hold: true},
	}, config.Tenant{Name: "acme", Domains: []string{"acme.example"}})
	subject := "nothing of importance"
	for name, edit := range map[string]contract.Edit{
		"other recipient":             {Recipients: []string{"support@acme.example"}},
		"recipient that no rule has":  {Recipients: []string{"nobody@acme.example"}, To: []string{"ticketing"}},
		"subject and the destination": {Headers: map[string]*string{"Subject": &subject}, To: []string{"ticketing"}},
		"destination":                 {To: []string{"ticketing"}},
	} {
		m := &ledger.Manifest{Recipients: []string{"legal@acme.example"}, Subject: "the contract", Overlay: &edit}
		got := r.Route(contract.RouteInput{Email: contract.Email{Tenant: "acme"}}, m, nil)
		require.Contains(t, contract.ReasonsOf(got.Holds), contract.ManualHold, name)
		require.Equal(t, []string{"ticketing"}, got.Destinations, name)
		require.Equal(t, got.Holds, r.Explain(rules.FactsOf(contract.Email{Tenant: "acme"}, m, nil)).Holds, name)
	}
}
