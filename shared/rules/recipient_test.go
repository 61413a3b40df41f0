package rules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/rules"
)

// TestSubAddressesReachTheirMailbox: mail to support+anything@ was unroutable although
// a rule matches support@.
func TestSubAddressesReachTheirMailbox(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, recipient string
		want               bool
	}{
		{"support@*", "support+urgent@acme.example", true},
		{"support@*", "SUPPORT+Urgent@ACME.example", true},
		{"Support@acme.example", "support+a+b@acme.example", true},
		{"support@*", `"support+the vip"@acme.example`, true},
		{"support@*", `"support"@acme.example`, true},
		{"support@*", "supporter+x@acme.example", false},
		{"support@*", "+support@acme.example", false},
		{"support@*", `"support@x"@acme.example`, false},
		{"support@*", `"support+x@acme.example`, false},
		{"supp*@*", "support+x@acme.example", true},
		{"*port@*", "support+x@acme.example", true},
		{"support*", "support+x@acme.example", true},
		{"support+vip@*", "support+vip@acme.example", true},
		{"support+vip@*", "Support+VIP@acme.example", true},
		{"support+vip@*", "support@acme.example", false},
		{"support+vip@*", "support+vip+x@acme.example", false},
		{"support+vip@*", "support+vipx@acme.example", false},
		{"support+*@*", "support+vip+x@acme.example", true},
		{"support+*@*", "support@acme.example", false},
		{"*+vip@*", "support+vip@acme.example", true},
		{"*@bücher.example", "a+b@xn--bcher-kva.example", true},
		{"*@bücher.example", "a@BÜCHER.example", true},
		{"*@xn--bcher-kva.example", "a@bücher.example", true},
		{"*@*cher.example", "a@xn--bcher-kva.example", true},
		{"*@BÜ*", "a@xn--bcher-kva.example", true},
		{"*@acme.example", "a@acme.example.", true},
		{"*@acme.example", "a@sub.acme.example", false},
		{"*@*", "no-domain", false},
		{"*", "no-domain", true},
	} {
		r := compile(t, []config.Route{{Name: "r", When: config.When{Recipient: row.pattern}, To: []string{"d"}}})
		got := r.Match(rules.Facts{Recipients: []string{row.recipient}})
		require.Equal(t, row.want, len(got.Routes) == 1, "%q %q", row.pattern, row.recipient)
	}
}

func TestLocalPartsInTheirCaseWhereTheTenantWantsIt(t *testing.T) {
	t.Parallel()
	routes := []config.Route{
		{Name: "mailbox", When: config.When{Recipient: "Support@ACME.example"}, To: []string{"d"}},
		{Name: "tag", When: config.When{Recipient: "*", Tag: "Vip*"}, To: []string{"d"}},
		{Name: "sender", When: config.When{Sender: "ann@X.example"}, To: []string{"d"}},
	}
	for recipient, want := range map[string][]string{
		"Support@acme.EXAMPLE":     {"mailbox"},
		"Support+x@acme.example":   {"mailbox"},
		"support@acme.example":     nil,
		"support+Vip1@acme.exampl": nil, // in no domain of the tenant
		"support+Vip1@acme.example": {
			"tag",
		},
		"Support+vip@acme.example": {"mailbox"},
	} {
		r := compile(t, routes, config.Tenant{Name: "acme", Domains: []string{"acme.example"}, CaseSensitive: true})
		require.Equal(t, want, r.Match(rules.Facts{Tenant: "acme", Recipients: []string{recipient}}).Routes, recipient)
	}
	r := compile(t, routes, config.Tenant{Name: "acme", CaseSensitive: true})
	require.Equal(t, []string{"sender"}, r.Match(rules.Facts{Tenant: "acme", Sender: "Ann@x.example"}).Routes,
		"whose local parts have a case is said of the tenant's own")
}

// TestSenderIsComparedAsItIs: only of recipients is it known that sub-addresses are one
// mailbox.
func TestSenderIsComparedAsItIs(t *testing.T) {
	t.Parallel()
	for sender, want := range map[string]bool{
		"ann@partner.example": true, "<Ann@Partner.example.>": true, "ann+x@partner.example": false, "": false,
	} {
		r := compile(t, []config.Route{{Name: "r", When: config.When{Sender: "ann@*"}, To: []string{"d"}}})
		require.Equal(t, want, len(r.Match(rules.Facts{Sender: sender}).Routes) == 1, sender)
	}
}

// TestTagIsOfTheRecipientThatMatches and not of another recipient.
func TestTagIsOfTheRecipientThatMatches(t *testing.T) {
	t.Parallel()
	when := config.When{Recipient: "support@*", Tag: "vip*"}
	for _, row := range []struct {
		when       config.When
		recipients []string
		why        string
	}{
		{when, []string{"support+VIP-7@acme.example"}, ""},
		{when, []string{"support@acme.example", "support+vip@acme.example"}, ""},
		{when, []string{"sales+vip@acme.example"}, `no recipient matches "support@*"`},
		{when, []string{"sales+vip@acme.example", "support+low@acme.example"}, `no recipient that matches "support@*" has a tag that matches "vip*"`},
		{when, []string{"support@acme.example", "support+vip@elsewhere.example"}, `no recipient that matches "support@*" has a tag that matches "vip*"`},
		{config.When{Recipient: "support+vip@*", Tag: "vip"}, []string{"support+vip@acme.example"}, ""},
		{config.When{Tag: "*"}, []string{"a@acme.example", "b+x@acme.example"}, ""},
		{config.When{Tag: "*"}, []string{"a@acme.example", "b+@acme.example"}, `no recipient has a tag that matches "*"`},
		{config.When{Tag: "b+c"}, []string{"a+b+c@acme.example"}, ""},
	} {
		r := compile(t, []config.Route{{Name: "r", When: row.when, To: []string{"d"}}}, config.Tenant{Name: "acme", Domains: []string{"acme.example"}})
		got := r.Explain(rules.Facts{Tenant: "acme", Recipients: row.recipients})
		require.Equal(t, row.why == "", got.Rules[0].Matched, row.recipients)
		if row.why != "" {
			require.Equal(t, row.why, got.Rules[0].Why, row.recipients)
		}
	}
}

func TestExplainSaysHowRecipientsAreRead(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{{Name: "r", When: config.When{Recipient: "support@*"}, To: []string{"d"}}},
		config.Tenant{Name: "acme", Domains: []string{"acme.example"}})
	got := r.Explain(rules.Facts{Tenant: "acme", Recipients: []string{
		"<support+vip@acme.example>", "support+vip@acme.example", "bob@ACME.example", "x+y@elsewhere.example",
	}})
	require.Equal(t, []rules.Recipient{{Mailbox: "support@acme.example", Tag: "vip"}, {Mailbox: "bob@ACME.example"}}, got.Recipients)
	require.Equal(t, []string{"x+y@elsewhere.example"}, got.Foreign)
	got = r.Explain(rules.Facts{Tenant: "acme", Recipients: []string{"x+y@elsewhere.example"}})
	require.NotNil(t, got.Recipients)
	require.Empty(t, got.Recipients)
	require.Equal(t, contract.RecipientForeign, got.Holds[0].Reason)
}

func TestUnmatchedRecipientsAreThoseThatNoRuleTakes(t *testing.T) {
	t.Parallel()
	support := config.Route{Name: "support", When: config.When{Recipient: "support@*"}, To: []string{"a"}}
	urgent := config.Route{Name: "urgent", When: config.When{Subject: "*urgent*"}, To: []string{"a"}}
	tagged := config.Route{Name: "tagged", When: config.When{Tag: "vip"}, To: []string{"a"}}
	elsewhere := config.Route{Name: "elsewhere", When: config.When{Recipient: "*"}, To: []string{"of another tenant"}}
	to := []string{"support@acme.example", "Bob+vip@acme.example", "sales@acme.example", "<sales@acme.example>", "x@elsewhere.example"}
	for name, tc := range map[string]struct {
		routes  []config.Route
		subject string
		edit    []string
		want    []string
	}{
		"one takes one":                      {routes: []config.Route{support}, want: []string{"Bob+vip@acme.example", "sales@acme.example"}},
		"two take two":                       {routes: []config.Route{support, tagged}, want: []string{"sales@acme.example"}},
		"a rule without recipients":          {routes: []config.Route{support, urgent}, subject: "urgent", want: nil},
		"it takes none if it does not match": {routes: []config.Route{support, urgent}, want: []string{"Bob+vip@acme.example", "sales@acme.example"}},
		"nor for another tenant":             {routes: []config.Route{support, elsewhere}, want: []string{"Bob+vip@acme.example", "sales@acme.example"}},
		"none is taken: unroutable":          {routes: []config.Route{urgent}, want: nil},
		"an edit names the destinations":     {routes: []config.Route{support}, edit: []string{"a"}, want: nil},
	} {
		f := rules.Facts{Tenant: "acme", Recipients: to, Subject: tc.subject, EditedTo: tc.edit}
		for _, setting := range []string{config.UnmatchedNote, config.UnmatchedHold} {
			r, err := rules.Of(&config.File{
				Routes: tc.routes, Unmatched: setting, Tenants: []config.Tenant{{Name: "acme", Domains: []string{"acme.example"}}},
				Destinations: []config.Destination{{Name: "a", Tenants: []string{"acme"}}, {Name: "of another tenant", Tenants: []string{"x"}}},
			})
			require.NoError(t, err)
			got := r.Explain(f)
			require.Equal(t, append([]string{}, tc.want...), got.Unmatched, name)
			held := setting == config.UnmatchedHold && len(tc.want) > 0
			require.Equal(t, held, slices.Contains(contract.ReasonsOf(got.Holds), contract.RecipientUnmatched), name)
		}
	}
}

// TestManyRecipientsAreMatchedSoon: one mail may name as many as its size allows, and must
// not keep a worker busy. In the square of their number this takes minutes.
func TestManyRecipientsAreMatchedSoon(t *testing.T) {
	t.Parallel()
	const many = 100_000
	r := compile(t, []config.Route{{Name: "support", When: config.When{Recipient: "support@*"}, To: []string{"d"}}},
		config.Tenant{Name: "acme", Domains: []string{"acme.example"}})
	to := []string{"support@acme.example"}
	for i := range many {
		to = append(to, fmt.Sprintf("a%012d@acme.example", i))
	}

	began := time.Now()
	require.Len(t, r.Match(rules.Facts{Tenant: "acme", Recipients: to}).Unmatched, many)
	require.Less(t, time.Since(began), 15*time.Second)
}
