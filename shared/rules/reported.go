package rules

import (
	"mailroom/shared/config"
	"mailroom/shared/mail"
)

// reported is a condition on one value that the provider reports about the mail. A rule
// without one ignores these values.
type reported struct {
	name string // as in the configuration, below when
	want pattern
	of   func(mail.Reported) string
}

// said lists the values that have conditions, in the order in which they are checked:
// the name, the pattern of a rule, and the value that the provider reports.
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

// Reported returns the conditions of a rule on reported values, by their names in the
// configuration below when, such as auth.spf.
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

// unmetReported returns the first condition on reported values that is not met; empty
// if there is none.
func (rt *route) unmetReported(r mail.Reported) string {
	for _, c := range rt.reported {
		if !c.want.match(c.of(r)) {
			return "the reported " + c.name + " does not match " + quoted(c.want.text)
		}
	}
	return ""
}
