package tour

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

// `make up CONFIG=file` once printed the token of development whatever the file said.
func TestTheTokenThatIsShownIsOneOfTheConfiguration(t *testing.T) {
	t.Parallel()
	token := func(ref, text string) config.KeyRef { return config.KeyRef{Ref: ref, Key: config.NewSecret(text)} }
	published := stack.DevDefaults().Get("OPERATOR_TOKEN")
	var login config.Access
	login.OIDC.Issuer = "https://login.example"

	for _, c := range []struct {
		file          config.File
		shown, prefix string
	}{
		{config.File{Operators: []config.Operator{{Name: "dev", Role: "admin", Token: token("env:OPERATOR_TOKEN", published)}}}, published, ""},
		{config.File{Operators: []config.Operator{{Name: "ada", Role: "admin", Token: token("env:ADA_TOKEN", "s3cret")}}},
			"the one behind env:ADA_TOKEN", `MAILROOM_TOKEN="$ADA_TOKEN" `},
		{config.File{Operators: []config.Operator{
			{Name: "acme", Roles: map[string]string{"acme": "admin"}, Token: token("env:ACME_TOKEN", "a")},
			{Name: "ada", Role: "viewer", Token: token("file:/run/ada", "b")},
		}}, "the one behind file:/run/ada", `MAILROOM_TOKEN="$(cat '/run/ada')" `},
		{config.File{Operators: []config.Operator{{Name: "acme", Roles: map[string]string{"acme": "admin"}, Token: token("vault:kv/x#y", "a")}}},
			"the one behind vault:kv/x#y", "MAILROOM_TOKEN=… "},
		{config.File{}, "none: the configuration lists no operator (operators: [{name, role, token}])", "MAILROOM_TOKEN=… "},
		{config.File{Access: login}, "none: sign in through https://login.example", "MAILROOM_TOKEN=… "},
	} {
		who := OperatorOf(&c.file)
		require.Equal(t, c.shown, who.shown())
		require.Equal(t, c.prefix, who.prefix())
		require.NotContains(t, who.shown(), "s3cret")
	}
}
