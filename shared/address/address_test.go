package address_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/address"
)

func TestDomainsAreComparedInOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Acme.Example":               "acme.example",
		" acme.example. ":            "acme.example",
		"bücher.example":             "xn--bcher-kva.example",
		"BÜCHER.example":             "xn--bcher-kva.example",
		"XN--BCHER-KVA.EXAMPLE":      "xn--bcher-kva.example",
		"bu\u0308cher.example":       "xn--bcher-kva.example", // the umlaut in two code points
		"bücher。example":             "xn--bcher-kva.example",
		"[192.0.2.1]":                "[192.0.2.1]",
		"mail_host.acme.example":     "mail_host.acme.example",
		"xn--a.example":              "xn--a.example", // no valid A-label
		"":                           "",
		"\u202eelpmaxe.emca.example": "\u202eelpmaxe.emca.example",
	} {
		require.Equal(t, want, address.Domain(text), "%q", text)
	}
}

func TestForeignRecipientsAreThoseOfNoDomain(t *testing.T) {
	t.Parallel()
	own := address.NewDomains([]string{"Acme.example.", "bücher.example"})
	for text, want := range map[string]bool{
		"support@ACME.example":                 true,
		"support@acme.example.":                true,
		" <support@acme.example> ":             true,
		"a@xn--bcher-kva.example":              true,
		"a@Bücher.example":                     true,
		`"support@evil.example"@acme.example`:  true,
		"support@acme.example@evil.example":    false,
		"support@x.acme.example":               false,
		"support@notacme.example":              false,
		"support@acme.example.evil":            false,
		"acme.example":                         false,
		"":                                     false,
		"support@":                             false,
		"support@bucher.example":               false,
		"<support@acme.example> (evil.example": false,
	} {
		require.Equal(t, want, own.Own(text), "%q", text)
	}
	require.Equal(t, []string{"a@evil.example", "b"}, own.Foreign([]string{
		"x@acme.example", "<a@evil.example>", "a@evil.example", "b",
	}))
	require.Nil(t, own.Foreign([]string{"x@acme.example"}))
	require.Nil(t, address.NewDomains(nil).Foreign([]string{"x@anywhere.example"}))
}
