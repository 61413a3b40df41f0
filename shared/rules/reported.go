package rules

import (
	"mailroom/shared/config"
	"mailroom/shared/mail"
)

// reported is a condition on one thing that the provider said beside the mail. A rule
// without one does not look at any of it.
type reported struct {
	name string // as in the configuration, below when
	want pattern
	of   func(mail.Reported) string
}

// Reported returns the conditions of a rule on what the provider said, by their names
// in the configuration below when, such as auth.spf.
func Reported(w config.When) map[string]string {
	out := map[string]string{}
	for name, want := range map[string]string{
		"auth.spf": w.Auth.SPF, "auth.dkim": w.Auth.DKIM, "auth.dmarc": w.Auth.DMARC, "type": w.Type, "mailbox": w.Mailbox,
	} {
		if want != "" {
			out[name] = want
		}
	}
	return out
}

// said are the things that the conditions are about, in the order in which they are asked.
var said = []struct {
	name string
	of   func(mail.Reported) string
}{
	{"type", func(r mail.Reported) string { return r.Type }},
	{"mailbox", func(r mail.Reported) string { return r.Mailbox }},
	{"auth.spf", func(r mail.Reported) string { return r.Auth.SPF }},
	{"auth.dkim", func(r mail.Reported) string { return r.Auth.DKIM }},
	{"auth.dmarc", func(r mail.Reported) string { return r.Auth.DMARC }},
}

func compileReported(w config.When) []reported {
	var out []reported
	conditions := Reported(w)
	for _, s := range said {
		if want, ok := conditions[s.name]; ok {
			out = append(out, reported{s.name, compile(want), s.of})
		}
	}
	return out
}

// unmetReported says which condition on what the provider said does not hold; empty: none.
func (rt *route) unmetReported(r mail.Reported) string {
	for _, c := range rt.reported {
		if !c.want.match(c.of(r)) {
			return "the reported " + c.name + " does not match " + quoted(c.want.text)
		}
	}
	return ""
}
