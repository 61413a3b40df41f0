package address_test

import (
	"strings"
	"testing"
	"unicode"

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

func TestDeliverable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a@b.example": true, "a@localhost": true, "a@[192.0.2.1]": true, "a@mail_host.example": true, "ü@bücher.example": true,
		"a@xn--bcher-kva.example": true, "<a@b.example>": true,
		"": false, "a": false, "a@": false, "@b.example": false, "a@b..example": false, "a@[192.0.2.1": false, "a@b example": false,
		"a@\u202eb.example": false, "a@" + strings.Repeat("b", 64) + ".example": false, "a@" + strings.Repeat("b.", 130) + "example": false,
	} {
		require.Equal(t, want, address.Deliverable(text), "%q", text)
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

func TestSubAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ local, base, tag, mailbox string }{
		"support+vip@acme.example":        {"support+vip", "support", "vip", "support@acme.example"},
		"Support+VIP@Acme.Example":        {"Support+VIP", "Support", "VIP", "Support@Acme.Example"},
		"support@acme.example":            {"support", "support", "", "support@acme.example"},
		"a+b+c@acme.example":              {"a+b+c", "a", "b+c", "a@acme.example"},
		"a++b@acme.example":               {"a++b", "a", "+b", "a@acme.example"},
		"+tag@acme.example":               {"+tag", "+tag", "", "+tag@acme.example"},
		"support+@acme.example":           {"support+", "support+", "", "support+@acme.example"},
		"+@acme.example":                  {"+", "+", "", "+@acme.example"},
		`"support+vip"@acme.example`:      {"support+vip", "support", "vip", "support@acme.example"},
		`"the shop+vip one"@acme.example`: {"the shop+vip one", "the shop", "vip one", `"the shop"@acme.example`},
		`"a\"b\\+c"@acme.example`:         {`a"b\+c`, `a"b\`, "c", `"a\"b\\"@acme.example`},
		`"a+b@c"@acme.example`:            {"a+b@c", "a", "b@c", "a@acme.example"},
		`"unclosed+x@acme.example`:        {`"unclosed+x`, `"unclosed`, "x", `"\"unclosed"@acme.example`},
		`""@acme.example`:                 {"", "", "", `""@acme.example`},
		"<sales+x@bücher.example>":        {"sales+x", "sales", "x", "sales@bücher.example"},
		"üser+täg@acme.example":           {"üser+täg", "üser", "täg", "üser@acme.example"},
		"no at+x":                         {"no at+x", "no at", "x", `"no at"`},
		"x@acme.example+y":                {"x", "x", "", "x@acme.example+y"},
	} {
		got := address.Parse(text)
		require.Equal(t, want.local, got.Local, text)
		require.Equal(t, want.base, got.Base, text)
		require.Equal(t, want.tag, got.Tag, text)
		require.Equal(t, want.mailbox, got.Mailbox(), text)
	}
	require.Equal(t, "bücher.example", address.Parse("a@XN--BCHER-kva.example").Unicode())
	require.Equal(t, "xn--a.example", address.Parse("a@xn--a.example").Unicode())
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"support+vip@acme.example", `"a b+c"@x.example`, "<a@b>", "@", "+@+", `"\"@x`, "a@xn--bcher-kva.example", "a@ｂücher。example", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := address.Parse(text)
		name := !strings.HasSuffix(a.Domain, ".") && strings.IndexFunc(a.Domain, unicode.IsSpace) < 0
		if name && address.Domain(a.Domain) != a.Domain {
			t.Fatalf("Domain(%q) = %q", a.Domain, address.Domain(a.Domain))
		}
		if a.Tag == "" && a.Base != a.Local || a.Tag != "" && a.Base+"+"+a.Tag != a.Local {
			t.Fatalf("%q: local part %q, base %q, tag %q", text, a.Local, a.Base, a.Tag)
		}
		again := address.Parse(a.Mailbox())
		if strings.Contains(text, "@") && (again.Domain != a.Domain || again.Local != a.Base) {
			t.Fatalf("%q: the mailbox %q is %q at %q", text, a.Mailbox(), again.Local, again.Domain)
		}
	})
}
