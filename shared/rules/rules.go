// Package rules decides where mail goes: the routes of the configuration file,
// compiled once.
//
// Invariants: a decision is a pure function of the rules and the facts; matching
// takes time linear in the pattern and the text, whatever an author of mail
// writes; only the recipients of the tenant's own domains count, unless a person
// said otherwise.
//
// Patterns are case-insensitive and match the whole text; * stands for any run
// of characters, also none, and nothing else is special. Addresses are compared
// as they are, local part and domain alike without regard to case: a sub-address
// (RFC 5233) is not folded away, so that "support@*" does not match
// support+urgent@yourapp.example and "support+*@*" does. Domains are compared
// label for label; a domain of a tenant does not cover its subdomains.
package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Rules are compiled routes. They are immutable and safe for concurrent use.
type Rules struct {
	routes  []route
	domains map[string]map[string]bool // by tenant; an empty set owns every domain
	headers bool
}

// route is one compiled rule; a nil pattern is met by everything.
type route struct {
	name                                       string
	to                                         []string
	hold                                       bool
	recipient, sender, subject, source, tenant *pattern
	headers                                    map[string]pattern // by lower-case name
}

// Facts are what the rules look at.
type Facts struct {
	Recipients []string
	Sender     string
	Subject    string
	Headers    []mail.Header
	Source     string
	Tenant     string
	// AnyRecipient lets recipients outside the tenant's domains count.
	AnyRecipient bool
}

// Match is what the rules say of a mail.
type Match struct {
	Routes       []string // names, in the order of the configuration
	Destinations []string // without repeats, in the order of the routes
	Held         []string // those of Routes that want a person first
	// Foreign is set when there are recipients and none of them counts; then
	// nothing else is.
	Foreign bool
}

// New compiles routes. Domains are those of tenants; a tenant without domains,
// or one that is not named, owns every recipient.
func New(routes []config.Route, tenants []config.Tenant) (*Rules, error) {
	r := &Rules{domains: make(map[string]map[string]bool, len(tenants))}
	for _, t := range tenants {
		set := make(map[string]bool, len(t.Domains))
		for _, d := range t.Domains {
			set[domainName(d)] = true
		}
		r.domains[t.Name] = set
	}
	names := make(map[string]bool, len(routes))
	for i, c := range routes {
		switch {
		case c.Name == "":
			return nil, fmt.Errorf("route %d has no name", i+1)
		case names[c.Name]:
			return nil, fmt.Errorf("route %q is there twice", c.Name)
		case len(c.To) == 0:
			return nil, fmt.Errorf("route %q goes nowhere", c.Name)
		}
		names[c.Name] = true
		compiled, err := compileRoute(c)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", c.Name, err)
		}
		r.headers = r.headers || len(compiled.headers) > 0
		r.routes = append(r.routes, compiled)
	}
	return r, nil
}

func compileRoute(c config.Route) (route, error) {
	out := route{
		name: c.Name, to: c.To, hold: c.Hold,
		recipient: optional(c.When.Recipient), sender: optional(c.When.Sender), subject: optional(c.When.Subject),
		source: optional(c.When.Source), tenant: optional(c.When.Tenant),
		headers: make(map[string]pattern, len(c.When.Header)),
	}
	for name, value := range c.When.Header {
		key := strings.ToLower(name)
		if key == "" {
			return out, errors.New("a header without a name")
		}
		if _, twice := out.headers[key]; twice {
			return out, fmt.Errorf("header %q is there twice", name)
		}
		out.headers[key] = compile(value)
	}
	return out, nil
}

func optional(text string) *pattern {
	if text == "" {
		return nil
	}
	p := compile(text)
	return &p
}

// NeedsHeaders reports whether a rule looks at headers; else Facts.Headers may be empty.
func (r *Rules) NeedsHeaders() bool { return r.headers }

// Match asks every rule. All conditions of a rule must hold, each for some
// recipient and some value of a header.
func (r *Rules) Match(f Facts) Match {
	var out Match
	recipients := r.own(f)
	if len(recipients) == 0 && len(f.Recipients) > 0 {
		out.Foreign = true
		return out
	}
	f.Recipients = recipients
	taken := make(map[string]bool)
	for _, rt := range r.routes {
		if !rt.meets(f) {
			continue
		}
		out.Routes = append(out.Routes, rt.name)
		if rt.hold {
			out.Held = append(out.Held, rt.name)
		}
		for _, d := range rt.to {
			if !taken[d] {
				taken[d] = true
				out.Destinations = append(out.Destinations, d)
			}
		}
	}
	return out
}

// own gives the recipients that count, bare and each once.
func (r *Rules) own(f Facts) []string {
	domains := r.domains[f.Tenant]
	seen := make(map[string]bool, len(f.Recipients))
	out := make([]string, 0, len(f.Recipients))
	for _, address := range f.Recipients {
		address = bare(address)
		if seen[address] {
			continue
		}
		seen[address] = true
		if f.AnyRecipient || len(domains) == 0 || domains[domainName(address[strings.LastIndexByte(address, '@')+1:])] {
			out = append(out, address)
		}
	}
	return out
}

func (rt *route) meets(f Facts) bool { return rt.unmet(f) == "" }

// unmet gives the first condition that does not hold, in words for a person; empty
// where all do.
func (rt *route) unmet(f Facts) string {
	for _, c := range []struct {
		name string
		want *pattern
		have string
	}{
		{"source", rt.source, f.Source}, {"tenant", rt.tenant, f.Tenant},
		{"sender", rt.sender, bare(f.Sender)}, {"subject", rt.subject, f.Subject},
	} {
		if !meets(c.want, c.have) {
			return fmt.Sprintf("the %s does not match %q", c.name, c.want.text)
		}
	}
	if rt.recipient != nil && !anyMeets(*rt.recipient, f.Recipients) {
		return fmt.Sprintf("no recipient matches %q", rt.recipient.text)
	}
	for _, name := range slices.Sorted(maps.Keys(rt.headers)) {
		if p := rt.headers[name]; !headerMeets(name, p, f.Headers) {
			return fmt.Sprintf("no header %s matches %q", name, p.text)
		}
	}
	return ""
}

func meets(p *pattern, text string) bool { return p == nil || p.match(text) }

func anyMeets(p pattern, texts []string) bool {
	for _, t := range texts {
		if p.match(t) {
			return true
		}
	}
	return false
}

func headerMeets(name string, p pattern, headers []mail.Header) bool {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) && p.match(h.Value) {
			return true
		}
	}
	return false
}

// Route is Match for the route step, with its answer in the step's terms: no
// rule holds the mail as unroutable, a rule with hold as manual_hold, and only
// foreign recipients as recipient_foreign. The routes stand beside the hold, so
// that an approval can go on with them. Where an edit names the destinations they
// are the answer, under contract.RouteEdited; an edit waives no hold, so those for
// foreign recipients and by a rule stay.
func (r *Rules) Route(in contract.RouteInput, m *ledger.Manifest, headers []mail.Header) contract.RouteResult {
	met := r.Match(Facts{
		Recipients: m.Recipients, Sender: m.Sender, Subject: m.Subject, Headers: headers,
		Source: in.Email.Source, Tenant: in.Email.Tenant, AnyRecipient: in.AnyRecipient,
	})
	out := contract.RouteResult{Routes: met.Routes, Destinations: met.Destinations}
	edited := m.Overlay != nil && len(m.Overlay.To) > 0
	if edited {
		out.Routes, out.Destinations = []string{contract.RouteEdited}, slices.Clone(m.Overlay.To)
	}
	if out.Holds = holds(met); edited && !met.Foreign && len(met.Routes) == 0 {
		out.Holds = nil
	}
	return out
}

// holds says why mail must not go on by itself.
func holds(met Match) []contract.Hold {
	switch {
	case met.Foreign:
		return []contract.Hold{{
			Reason: contract.RecipientForeign, Detail: "no recipient belongs to a domain of the tenant",
		}}
	case len(met.Routes) == 0:
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "no route matches this email"}}
	case len(met.Held) > 0:
		return []contract.Hold{{
			Reason: contract.ManualHold,
			Detail: fmt.Sprintf("route %s holds its mail for a person", strings.Join(met.Held, ", ")),
		}}
	}
	return nil
}

// bare strips blanks and angle brackets off an address.
func bare(address string) string {
	address = strings.TrimSpace(address)
	if inner, ok := strings.CutPrefix(address, "<"); ok {
		address = strings.TrimSuffix(inner, ">")
	}
	return address
}

// domainName is a domain to compare by: lower case, without the root's dot.
func domainName(d string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(d)), ".")
}
