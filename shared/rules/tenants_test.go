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

// twoTenants returns rules of two tenants with the same names.
func twoTenants(t *testing.T) *rules.Rules {
	t.Helper()
	r, err := rules.New(
		[]config.Route{
			{Name: "acme-sales", When: config.When{Tenant: "acme", Recipient: "sales@*"}, To: []string{"acme-crm"}},
			{Name: "globex-sales", When: config.When{Tenant: "globex", Recipient: "sales@*"}, To: []string{"globex-crm"}},
			{Name: "urgent", When: config.When{Subject: "*urgent*"}, To: []string{"globex-crm", "pager"}},
			{Name: "globex-log", When: config.When{Sender: "*@globex.example"}, To: []string{"globex-crm"}},
			{Name: "nowhere", When: config.When{Recipient: "lost@*"}, To: []string{"gone"}},
		},
		[]config.Tenant{{Name: "acme", Domains: []string{"acme.example"}}, {Name: "globex", Domains: []string{"globex.example"}}},
		[]config.Destination{
			{Name: "acme-crm", Tenants: []string{"acme"}}, {Name: "globex-crm", Tenants: []string{"globex"}},
			{Name: "pager", Tenants: []string{"acme", "globex"}},
		})
	require.NoError(t, err)
	return r
}

// TestMailOfOneTenantNeverReachesTheDestinationOfAnother: by no rule, no approval of
// foreign recipients, no edit, and not for a tenant that was removed from the
// configuration.
func TestMailOfOneTenantNeverReachesTheDestinationOfAnother(t *testing.T) {
	t.Parallel()
	r := twoTenants(t)
	for name, tc := range map[string]struct {
		tenant, recipient, subject string
		any                        bool
		edit                       *contract.Edit
		to                         []string
		reason                     contract.Reason
	}{
		"own rule":                  {tenant: "acme", recipient: "sales@acme.example", to: []string{"acme-crm"}},
		"rule without a tenant":     {tenant: "acme", recipient: "x@acme.example", subject: "urgent", to: []string{"pager"}},
		"rule of theirs alone":      {tenant: "acme", recipient: "x@acme.example", reason: contract.Unroutable},
		"approved as foreign":       {tenant: "acme", recipient: "sales@globex.example", any: true, to: []string{"acme-crm"}},
		"foreign":                   {tenant: "acme", recipient: "sales@globex.example", reason: contract.RecipientForeign},
		"edited to theirs":          {tenant: "acme", recipient: "sales@acme.example", edit: &contract.Edit{To: []string{"globex-crm"}}, reason: contract.Unroutable},
		"edited recipients":         {tenant: "acme", recipient: "x@acme.example", any: true, edit: &contract.Edit{Recipients: []string{"sales@globex.example"}}, to: []string{"acme-crm"}},
		"no such destination":       {tenant: "acme", recipient: "lost@acme.example", reason: contract.Unroutable},
		"tenant that is no more":    {tenant: "initech", recipient: "sales@acme.example", subject: "urgent", reason: contract.Unroutable},
		"tenant in capital letters": {tenant: "ACME", recipient: "sales@acme.example", reason: contract.Unroutable},
	} {
		m := &ledger.Manifest{Recipients: []string{tc.recipient}, Sender: "boss@globex.example", Subject: tc.subject, Overlay: tc.edit}
		got := r.Route(contract.RouteInput{Email: contract.Email{Tenant: tc.tenant}, AnyRecipient: tc.any}, m, nil)
		require.ElementsMatch(t, tc.to, got.Destinations, name)
		if tc.reason == "" {
			require.Empty(t, got.Holds, name)
			continue
		}
		require.Len(t, got.Holds, 1, name)
		require.Equal(t, tc.reason, got.Holds[0].Reason, name)
	}
}

// TestExplainAnswersAsRoutingDoes for an edited email; once it ignored edits.
func TestExplainAnswersAsRoutingDoes(t *testing.T) {
	t.Parallel()
	r := twoTenants(t)
	email := contract.Email{Tenant: "acme", Source: "mailparse"}
	subject := "urgent"
	for name, edit := range map[string]*contract.Edit{
		"none": nil, "recipients": {Recipients: []string{"sales@acme.example", "x@globex.example"}},
		"header": {Headers: map[string]*string{"Subject": &subject}}, "to": {To: []string{"pager"}},
		"to theirs": {To: []string{"globex-crm", "pager"}},
	} {
		m := &ledger.Manifest{Recipients: []string{"bob@acme.example"}, Sender: "a@x.example", Subject: "hello", Overlay: edit}
		message := &mail.Message{Subject: "hello"}
		want := r.Route(contract.RouteInput{Email: email}, m, message)
		got := r.Explain(rules.FactsOf(email, m, message))
		require.ElementsMatch(t, want.Destinations, got.Destinations, name)
		require.ElementsMatch(t, want.Routes, got.Routes, name)
		require.ElementsMatch(t, want.Holds, got.Holds, name)
		require.Equal(t, edit != nil && len(edit.Recipients) > 0, len(got.Foreign) > 0, name)
	}
}
