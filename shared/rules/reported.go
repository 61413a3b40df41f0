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

// said are the things that the conditions are about, in the order in which they are
// checked: their names, the pattern of a rule, and what the provider said.
var said = []struct {
	name string
	want func(config.When) string
	of   func(mail.Reported) string
}{
	{"type", func(w config.When) string { return w.Type }, func(r mail.Reported) string { return r.Type }},
	{"mailbox", func(w config.When) string { return w.Mailbox }, func(r mail.Reported) string { return r.Mailbox }},
	{"auth.spf", func(w config.When) string { return w.Auth.SPF }, func(r mail.Reported) string { return r.Auth.SPF }},
	{"auth.dkim", func(w config.When) string { return w.Auth.DKIM }, func(r mail.Reported) string { return r.Auth.DKIM }},
	{"auth.dmarc", func(w config.When) string { return w.Auth.DMARC }, func(r mail.Reported) string { return r.Auth.DMARC }},
}

// Reported returns the conditions of a rule on what the provider said, by their names
// in the configuration below when, such as auth.spf.
func Reported(w config.When) map[string]string {
	out := map[string]string{}
	for _, s := range said {
		if want := s.want(w); want != "" {
			out[s.name] = want
		}
	}
	return out
}

func compileReported(w config.When) []reported {
	var out []reported
	for _, s := range said {
		if want := s.want(w); want != "" {
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
