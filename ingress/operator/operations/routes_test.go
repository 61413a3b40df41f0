package operations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/rules"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, out := b.ask(t, "local", http.MethodGet, "/api/v1/routes", "")
	require.Equal(t, http.StatusOK, status)
	version, list := b.RouteRows(nil)
	require.NotEmpty(t, version)
	require.Equal(t, version, out["version"])
	require.Len(t, list, 4)
	text, err := json.Marshal(out["routes"])
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"name":"urgent","when":{},"header":{"X-Priority":"1"},"to":["a b"],"hold":true},
		{"name":"sales","when":{"recipient":"sales@*","tenant":"default"},"header":{},"to":["crm"],"hold":false},
		{"name":"all","when":{"sender":"*@partner.example","subject":"*order*","source":"mailparse"},"header":{},"to":["crm"],"hold":false}
	]`, string(text))
}

// TestRulesAreTriedOnWhatAProviderSays: as it is configured below when, and listed so.
func TestRulesAreTriedOnWhatAProviderSays(t *testing.T) {
	t.Parallel()
	b := setup(t, config.Route{
		Name: "forged", When: config.When{Auth: config.WhenAuth{SPF: "*fail"}, Type: "email.*", Mailbox: "box@*"}, To: []string{"crm"},
	})
	status, out := b.ask(t, "viewer", http.MethodPost, "/api/v1/routes/test", `{"auth":{"spf":"softfail","dkim":"none"},"type":"email.received","mailbox":"box@x"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{"forged"}, out["routes"])
	status, out = b.ask(t, "viewer", http.MethodPost, "/api/v1/routes/test", `{"auth":{"spf":"pass"},"type":"email.received","mailbox":"box@x"}`)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, out["routes"])
	_, out = b.ask(t, "viewer", http.MethodPost, "/api/v1/routes/test", `{"email":"evt_1","auth":{"spf":"pass"}}`)
	require.Contains(t, fmt.Sprint(out), "email goes alone")
	_, list := b.RouteRows(nil)
	require.Equal(t, map[string]string{"auth.spf": "*fail", "type": "email.*", "mailbox": "box@*"}, list[len(list)-1].When)
}

// TestRulesAreTried: a made-up mail and a stored one get the answer of the rules.
func TestRulesAreTried(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		as, body string
		routes   []any
		to       []any
	}{
		{"viewer", `{"recipients":["SALES@yourapp.example"]}`, []any{"sales"}, []any{"crm"}},
		{"viewer", `{"recipients":["sales@yourapp.example"],"tenant":"acme"}`, []any{}, []any{}},
		{"viewer", `{"recipients":["sales@elsewhere.example"]}`, []any{}, []any{}},
		{"viewer", `{"headers":{"x-priority":"1"}}`, []any{"urgent"}, []any{"a b"}},
		{"viewer", `{"sender":"x@partner.example","subject":"my ORDER"}`, []any{"all"}, []any{"crm"}},
		{"viewer", `{"sender":"x@partner.example","subject":"my ORDER","source":"other"}`, []any{}, []any{}},
		{"local", `{"recipients":["board@yourapp.example"]}`, []any{}, []any{}},
		{"viewer", `{"email":"evt_1"}`, []any{"urgent", "sales", "all"}, []any{"a b", "crm"}},
		{"local", `{"email":"evt_1","source":"mailparse"}`, []any{"urgent", "sales", "all"}, []any{"a b", "crm"}},
	} {
		status, out := setup(t).ask(t, row.as, http.MethodPost, "/api/v1/routes/test", row.body)
		require.Equal(t, http.StatusOK, status, "%s: %v", row.body, out)
		require.Equal(t, row.routes, out["routes"], row.body)
		require.Equal(t, row.to, out["destinations"], row.body)
		verdicts, _ := out["rules"].([]any)
		require.Len(t, verdicts, map[string]int{"viewer": 4, "local": 3}[row.as])
		for _, v := range verdicts {
			verdict, _ := v.(map[string]any)
			require.NotEmpty(t, verdict["why"], row.body)
		}
	}
}

func TestTestIsRefused(t *testing.T) {
	t.Parallel()
	many := func(n int) string { return `["a@b"` + strings.Repeat(`,"a@b"`, n-1) + `]` }
	headers := make([]string, 0, 1001)
	for i := range 1001 {
		headers = append(headers, fmt.Sprintf(`"h%d":""`, i))
	}
	for _, row := range []struct{ as, body, code, message string }{
		{"viewer", `{"email":"evt_1","sender":"a@b"}`, "request_invalid", "email goes alone"},
		{"viewer", `{"email":"` + strings.Repeat("e", contract.MaxEventID+1) + `"}`, "request_invalid", fmt.Sprintf("email has at most %d bytes", contract.MaxEventID)},
		{"viewer", `{"email":"a\u0000"}`, "request_invalid", "printable"},
		{"viewer", `{"source":"` + strings.Repeat("e", 201) + `"}`, "request_invalid", "source has at most 200 bytes"},
		{"viewer", `{"recipients":` + many(1001) + `}`, "request_invalid", "recipients has at most 1000 addresses"},
		{"viewer", `{"headers":{` + strings.Join(headers, ",") + `}}`, "request_invalid", "headers has at most 1000 fields"},
		{"viewer", `{"headers":{" ":"x"}}`, "request_invalid", "headers has a field without a name"},
		{"viewer", `{"tenant":"nowhere"}`, "request_invalid", "tenant must be a configured one"},
		{"viewer", `{"recipient":"a@b"}`, "request_invalid", "no others"},
		{"viewer", `{"subject":"` + strings.Repeat("x", 256<<10) + `"}`, "body_too_large", "at most 262144 bytes"},
		{"viewer", `{"email":"evt_2"}`, "not_found", "no email"},
		{"viewer", `{"email":"evt_1","source":"other"}`, "not_found", "no email"},
		{"foreign", `{"tenant":"default","sender":"a@b"}`, "forbidden", "your own tenants"},
		{"foreign", `{"tenant":"nowhere","sender":"a@b"}`, "forbidden", "your own tenants"},
		{"nobody", `{"sender":"a@b"}`, "forbidden", "your own tenants"},
		{"foreign", `{"email":"evt_1"}`, "not_found", "no email with this id"},
		{"nobody", `{"email":"evt_1"}`, "not_found", "no email with this id"},
	} {
		code, message := setup(t).refused(t, row.as, http.MethodPost, "/api/v1/routes/test", row.body)
		require.Equal(t, row.code, code, "%.80s", row.body)
		require.Contains(t, message, row.message)
	}
}

// TestStoredSampleStaysWithinTheCallersTenants: the newest email of any tenant was taken
// and then not found, although the caller's own tenant has one of that id.
func TestStoredSampleStaysWithinTheCallersTenants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for as, want := range map[string][]string{"viewer": nil, "foreign": {"acme"}} {
		b.ask(t, as, http.MethodPost, "/api/v1/routes/test", `{"email":"evt_1"}`)
		require.Equal(t, want, b.ledger.looked.Tenants, as)
	}
}

// TestOperatorOfATenantTriesHisOwn: without a tenant the sample is his, of the rules he
// sees those that his mail can meet, and of destinations those that serve him.
func TestOperatorOfATenantTriesHisOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, out := b.ask(t, "foreign", http.MethodPost, "/api/v1/routes/test", `{"recipients":["board@acme.example"],"headers":{"X-Priority":"1"}}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{"a b", "theirs"}, out["destinations"])
	verdicts, _ := out["rules"].([]any)
	require.Len(t, verdicts, 2)
	require.NotContains(t, fmt.Sprint(out), "crm")
	require.NotContains(t, fmt.Sprint(out), "sales")

	status, out = b.ask(t, "foreign", http.MethodGet, "/api/v1/routes", "")
	require.Equal(t, http.StatusOK, status)
	list, _ := out["routes"].([]any)
	require.Len(t, list, 2)
	require.NotContains(t, fmt.Sprint(out), "crm")

	status, out = b.ask(t, "foreign", http.MethodGet, "/api/v1/destinations", "")
	require.Equal(t, http.StatusOK, status)
	list, _ = out["destinations"].([]any)
	require.Len(t, list, 2)
	require.NotContains(t, fmt.Sprint(out), "crm")
}

// TestStoredEmailIsTriedAsItWasEdited: the tester used to answer for the email as it came.
func TestStoredEmailIsTriedAsItWasEdited(t *testing.T) {
	t.Parallel()
	priority := "5"
	for name, row := range map[string]struct {
		edit contract.Edit
		to   []any
	}{
		"recipients": {contract.Edit{Recipients: []string{"bob@yourapp.example"}}, []any{"a b", "crm"}},
		"header":     {contract.Edit{Headers: map[string]*string{"X-Priority": &priority}}, []any{"crm"}},
		"to":         {contract.Edit{To: []string{"a b"}}, []any{"a b"}},
	} {
		b := setup(t)
		b.ledger.edit = &row.edit
		status, out := b.ask(t, "local", http.MethodPost, "/api/v1/routes/test", `{"email":"evt_1"}`)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, row.to, out["destinations"], name)
	}
}

// TestTenantSeesNothingOfOthers: neither rules nor destinations, and the tester takes no
// mail of another tenant.
func TestTenantSeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fred := people()["foreign"]
	_, rows := b.RouteRows([]string{"acme"})
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
		require.NotContains(t, r.To, "crm")
	}
	require.Equal(t, []string{"urgent", "secret"}, names)

	list, err := b.Destinations(t.Context(), []string{"acme"})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "a b", list[0].Name)
	require.Equal(t, "theirs", list[1].Name)
	require.Equal(t, "theirs.example", list[1].Host)
	require.True(t, b.MayPause(fred, "theirs"))
	require.False(t, b.MayPause(fred, "a b"))

	out, err := b.Test(t.Context(), fred, operations.Sample{Recipients: []string{"board@b.example"}})
	require.NoError(t, err)
	require.Contains(t, out.Destinations, "theirs")
	_, err = b.Test(t.Context(), fred, operations.Sample{Recipients: []string{"a@b.example"}, Tenant: "default"})
	require.True(t, fault.Is(err, fault.Forbidden), "%v", err)
}

// TestSampleBelongsToTheTenantOfItsRecipient: of the caller's tenants the first one was
// taken, whose rules see no recipient of another.
func TestSampleBelongsToTheTenantOfItsRecipient(t *testing.T) {
	t.Parallel()
	cfg := operations.Config{
		Tenants: []config.Tenant{
			{Name: "one", Domains: []string{"one.example"}}, {Name: "two", Domains: []string{"two.example"}}, {Name: "three"},
		},
		Sources: []config.Source{{Name: "first", Tenant: "one"}, {Name: "second", Tenant: "two"}, {Name: "third", Tenant: "three"}},
	}
	compiled, err := rules.New(nil, cfg.Tenants, nil)
	require.NoError(t, err)
	s, err := operations.New(cfg, operations.Deps{
		Ledger: &fakeLedger{}, Messages: fakeMessages{}, Acks: fakeAcks{}, Rules: compiled,
		Health: func(context.Context) (string, map[string]string) { return "ready", nil },
	})
	require.NoError(t, err)
	all := people()["viewer"]
	some := access.Identity{Roles: map[string]access.Role{"three": access.Viewer, "two": access.Viewer}}

	for _, row := range []struct {
		who            access.Identity
		in             operations.Sample
		tenant, source string
	}{
		{all, operations.Sample{Recipients: []string{"a@elsewhere.example"}}, "one", "first"},
		{all, operations.Sample{Recipients: []string{"a@elsewhere.example", "b@TWO.example"}}, "two", "second"},
		{all, operations.Sample{Source: "third", Recipients: []string{"b@two.example"}}, "three", "third"},
		{all, operations.Sample{Tenant: "three", Recipients: []string{"b@two.example"}}, "three", "third"},
		{some, operations.Sample{Recipients: []string{"a@one.example"}}, "two", "second"},
		{some, operations.Sample{Source: "first"}, "two", "first"},
	} {
		out, err := s.Test(t.Context(), row.who, row.in)
		require.NoError(t, err)
		require.Equal(t, []string{row.tenant, row.source}, []string{out.Tenant, out.Source}, "%+v", row.in)
	}
}

// TestVisibleIsTheOnePolicy: what a caller of one tenant sees of each part.
func TestVisibleIsTheOnePolicy(t *testing.T) {
	t.Parallel()
	cfg := operations.Config{
		Tenants: []config.Tenant{{Name: "mine"}, {Name: "theirs"}},
		Sources: []config.Source{{Name: "in", Tenant: "mine"}, {Name: "their-in", Tenant: "theirs"}},
		Destinations: []config.Destination{
			{Name: "d", Tenants: []string{"mine"}}, {Name: "shared", Tenants: []string{"theirs", "mine"}}, {Name: "secret", Tenants: []string{"theirs"}}, {Name: "idle"},
		},
		Routes: []config.Route{
			{Name: "all", To: []string{"secret", "shared", "d"}},
			{Name: "to others", To: []string{"secret"}},
			{Name: "of others", When: config.When{Tenant: "theirs"}, To: []string{"shared"}},
			{Name: "from others", When: config.When{Source: "their-in"}, To: []string{"shared"}},
			{Name: "own source", When: config.When{Source: "in", Tenant: "mine"}, To: []string{"shared", "secret"}},
			{Name: "own source of others", When: config.When{Source: "in", Tenant: "theirs"}, To: []string{"shared"}},
		},
	}
	require.Equal(t, operations.Config{
		Tenants: cfg.Tenants[:1],
		Sources: cfg.Sources[:1],
		Destinations: []config.Destination{
			{Name: "d", Tenants: []string{"mine"}}, {Name: "shared", Tenants: []string{"mine"}},
		},
		Routes: []config.Route{
			{Name: "all", To: []string{"shared", "d"}},
			{Name: "own source", When: config.When{Source: "in", Tenant: "mine"}, To: []string{"shared"}},
		},
	}, operations.Visible(cfg, []string{"mine"}))
	require.Equal(t, cfg, operations.Visible(cfg, nil))
	require.Equal(t, operations.Config{}, operations.Visible(cfg, []string{}))
	require.Equal(t, []string{"secret", "shared", "d"}, cfg.Routes[0].To, "the configuration is not changed")
}
