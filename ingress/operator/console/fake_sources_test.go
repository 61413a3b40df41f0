package console

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/ledger"
	"mailroom/shared/secret"
)

// fakeRecords has what is recorded about sources and tokens.
type fakeRecords struct{ *fakes }

func (f fakeRecords) VerificationFailures(_ context.Context, l ledger.FailureFilter) ([]ledger.VerificationFailure, error) {
	row := ledger.VerificationFailure{
		Source: l.Source, Scheme: f.word("timestamp-hmac"), Code: f.word("signature_invalid"), Address: f.word("192.0.2.7"), Count: 1200,
		FirstAt: at.Add(-time.Hour), LastAt: at,
	}
	rest := row
	rest.Address = ""
	return []ledger.VerificationFailure{row, rest}, f.err
}

func (f fakeRecords) CountVerificationFailures(context.Context, time.Time) (map[string]map[string]int64, error) {
	return map[string]map[string]int64{"mailparse": {f.word("signature_invalid"): 1200, "timestamp_stale": 3}}, f.err
}

func (f fakeRecords) LastUse(source string, key int) time.Time {
	if source == "mailparse" && key == 2 {
		return at.Add(-time.Hour)
	}
	return time.Time{}
}

func (f fakeRecords) SecretUses(context.Context, []string) ([]ledger.SecretUse, error) {
	return nil, f.err
}

func (fakeRecords) Status() []secret.Status {
	return []secret.Status{{Ref: "env:GONE", Updated: at, Gone: true, VerifiesUntil: at.Add(time.Hour)}}
}

func (f fakeRecords) Tokens(context.Context) ([]ledger.Token, error) {
	revoked := at.Add(-time.Minute)
	return []ledger.Token{
		{Name: "ci", Roles: map[string]string{"default": "viewer", "other": "operator"}, Owner: f.word("ann@id.example"), CreatedBy: f.word("adam"),
			CreatedAt: at.Add(-time.Hour), LastUsedAt: &revoked},
		{Name: "theirs", Roles: map[string]string{"other": "admin"}, Owner: "otto", CreatedBy: "adam", CreatedAt: at.Add(-time.Hour),
			RevokedAt: &revoked, RevokedBy: f.word("adam")},
	}, f.err
}

// sources are one of each of two tenants.
func (b *bundle) sources(t *testing.T) *operations.Sources {
	t.Helper()
	key := func(ref string, expires time.Time) config.KeyRef {
		return config.KeyRef{Ref: ref, Key: config.NewSecret("the-text-of-" + ref), Expires: expires}
	}
	s, err := operations.NewSources([]config.Source{
		{Name: "mailparse", Path: "/webhooks/email", Tenant: "default", Schemes: []string{"timestamp-hmac"}, MaxBody: 25 << 20, Tolerance: 5 * time.Minute,
			Limit: config.SourceLimit{Rate: 10, InFlight: 4}, AllowFrom: []string{"192.0.2.0/24"},
			Secrets: []config.KeyRef{key("env:NOW", time.Time{}), key("file:/before", at.Add(30*24*time.Hour)), key("env:GONE", time.Time{})}},
		{Name: "theirs", Path: "/webhooks/theirs", Tenant: "other", Schemes: []string{"none"}, Insecure: true, Disabled: true},
	}, operations.SourcesDeps{
		Failures: fakeRecords{b.fakes}, KeyUse: fakeRecords{b.fakes}, Uses: fakeRecords{b.fakes}, Secrets: fakeRecords{b.fakes},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at },
	})
	require.NoError(t, err)
	return s
}

func (b *bundle) tokens(t *testing.T) *operations.Tokens {
	t.Helper()
	s, err := operations.NewTokens([]config.Operator{
		{Name: "root", Role: "admin", Token: config.KeyRef{Ref: "env:ROOT_TOKEN", Key: config.NewSecret("the-text-of-root")}},
		{Name: "local", Roles: map[string]string{"default": "admin"}, Token: config.KeyRef{Ref: "env:LOCAL_TOKEN", Key: config.NewSecret("the-text-of-local"), Expires: at.Add(time.Hour)}},
	}, fakeRecords{b.fakes}, func() time.Time { return at })
	require.NoError(t, err)
	return s
}
