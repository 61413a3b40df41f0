package rules_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

func TestExplainNamesTheFirstConditionThatFails(t *testing.T) {
	t.Parallel()
	r := compile(t, []config.Route{
		{Name: "source", When: config.When{Source: "postmark", Sender: "x"}, To: []string{"a"}},
		{Name: "tenant", When: config.When{Tenant: "acme"}, To: []string{"a"}},
		{Name: "sender", When: config.When{Sender: "*@other.example"}, To: []string{"a"}},
		{Name: "subject", When: config.When{Subject: "*urgent*"}, To: []string{"a"}},
		{Name: "recipient", When: config.When{Recipient: "sales@*"}, To: []string{"a"}},
		{Name: "header", When: config.When{Header: map[string]string{"X-B": "*", "X-A": "1"}}, To: []string{"a"}},
		{Name: "all", When: config.When{Recipient: "support@*", Subject: "*help*"}, To: []string{"a", "b"}},
		{Name: "held", To: []string{"c"}, Hold: true},
	}, config.Tenant{Name: "default", Domains: []string{"yourapp.example"}})
	facts := rules.Facts{
		Recipients: []string{"support@yourapp.example", "sales@elsewhere.example"}, Sender: "private@partner.example",
		Subject: "private: help", Headers: []mail.Header{{Name: "x-b", Value: "private"}}, Source: "mailparse", Tenant: "default",
	}
	got := r.Explain(facts)
	require.Equal(t, []rules.RuleVerdict{
		{Name: "source", Why: `the source does not match "postmark"`},
		{Name: "tenant", Why: `the tenant is not "acme"`},
		{Name: "sender", Why: `the sender does not match "*@other.example"`},
		{Name: "subject", Why: `the subject does not match "*urgent*"`},
		{Name: "recipient", Why: `no recipient matches "sales@*"`},
		{Name: "header", Why: `no header x-a matches "1"`},
		{Name: "all", Matched: true, Why: "every condition holds: it goes to a, b"},
		{Name: "held", Matched: true, Why: "every condition holds: a person decides whether it goes to c"},
	}, got.Rules)
	require.Equal(t, []string{"all", "held"}, got.Routes)
	require.Equal(t, []string{"a", "b", "c"}, got.Destinations)
	require.Equal(t, contract.ManualHold, got.Holds[0].Reason)

	facts.Recipients = []string{"sales@elsewhere.example"}
	got = r.Explain(facts)
	require.Equal(t, contract.RecipientForeign, got.Holds[0].Reason)
	require.Empty(t, got.Routes)
	for _, v := range got.Rules {
		require.False(t, v.Matched)
	}
}

// TestExplainAgreesWithMatch checks that Explain and Match have the same result.
func TestExplainAgreesWithMatch(t *testing.T) {
	t.Parallel()
	patterns := []string{"", "*", "a*", "*b", "ab"}
	texts := []string{"", "a", "b", "ab", "xb"}
	random := rand.New(rand.NewPCG(1, 2))
	one := func(list []string) string { return list[random.IntN(len(list))] }
	for range 500 {
		routes := make([]config.Route, 4)
		for i := range routes {
			routes[i] = config.Route{Name: string(rune('a' + i)), To: []string{"d"}, When: config.When{
				Recipient: one(patterns), Sender: one(patterns), Subject: one(patterns),
			}}
		}
		r := compile(t, routes)
		facts := rules.Facts{Recipients: []string{one(texts), one(texts)}, Sender: one(texts), Subject: one(texts)}
		var matched []string
		for _, v := range r.Explain(facts).Rules {
			if v.Matched {
				matched = append(matched, v.Name)
			}
		}
		require.Equal(t, r.Match(facts).Routes, matched, "%+v %+v", routes, facts)
	}
}
