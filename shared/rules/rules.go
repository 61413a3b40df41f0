package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mailroom/shared/address"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Rules are compiled routes. They are immutable and safe for concurrent use.
type Rules struct {
	routes  []route
	domains map[string]address.Domains // by tenant
	ownCase map[string]bool            // tenants with case-sensitive local parts
	headers bool
	version string
	// holdUnmatched holds mail of which no rule takes a recipient while one takes another.
	holdUnmatched bool

	destinations map[string]config.Destination // by name
}

// route is one compiled rule; a nil pattern and an empty tenant match everything.
type route struct {
	name              string
	to                []string
	hold              bool
	tenant            string
	recipient, sender *mailbox
	tag               *byCase
	subject, source   *pattern
	headers           map[string]pattern // by lower-case name
	reported          []reported
}

// Match is the result of matching a mail with all rules.
type Match struct {
	Routes       []string // names, in the order of the configuration
	Destinations []string // without duplicates, in the order of the routes
	Held         []string // those of Routes that require an approval
	// Unmatched are the recipients in the tenant's domains that none of Routes takes,
	// bare and without duplicates. A rule without a condition about recipients takes all.
	Unmatched []string
	// Foreign is set if there are recipients and none of them is in the tenant's
	// domains; nothing else is set then.
	Foreign bool
}

// Of compiles the routes of a loaded file, as New does.
func Of(file *config.File) (*Rules, error) {
	r, err := New(file.Routes, file.Tenants, file.Destinations)
	if err == nil && file.Unmatched == config.UnmatchedHold {
		r.holdUnmatched, r.version = true, versionOf(file.Routes, file.Tenants, file.Destinations, true)
	}
	return r, err
}

// New compiles routes. A tenant without domains, or one that is not in tenants, owns
// every recipient. A destination serves the tenants that it names, which a loaded
// config.File always has; one that is not in destinations serves none.
func New(routes []config.Route, tenants []config.Tenant, destinations []config.Destination) (*Rules, error) {
	r := &Rules{
		domains:      make(map[string]address.Domains, len(tenants)),
		ownCase:      make(map[string]bool, len(tenants)),
		destinations: make(map[string]config.Destination, len(destinations)),
		version:      versionOf(routes, tenants, destinations, false),
	}

	for _, t := range tenants {
		r.domains[t.Name], r.ownCase[t.Name] = address.NewDomains(t.Domains), t.CaseSensitive
	}

	for _, d := range destinations {
		r.destinations[d.Name] = d
	}

	names := make(map[string]bool, len(routes))
	for i, c := range routes {
		switch {
		case c.Name == "":
			return nil, fmt.Errorf("route %d has no name", i+1)
		case names[c.Name]:
			return nil, fmt.Errorf("route %q occurs twice", c.Name)
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

// Check returns what New refuses in a loaded file, with the place of each mistake.
func Check(file *config.File) []config.Mistake {
	var out []config.Mistake
	for i, c := range file.Routes {
		if _, err := compileRoute(c); err != nil {
			out = append(out, file.Mistake(err.Error(), "routes", i))
		}
	}
	return out
}

func compileRoute(c config.Route) (route, error) {
	out := route{
		name: c.Name, to: c.To, hold: c.Hold, tenant: c.When.Tenant,
		recipient: compileRecipient(c.When.Recipient), sender: compileSender(c.When.Sender),
		subject: optional(c.When.Subject), source: optional(c.When.Source),
		headers: make(map[string]pattern, len(c.When.Header)), reported: compileReported(c.When),
	}

	if c.When.Tag != "" {
		tag := compileByCase(c.When.Tag)
		out.tag = &tag
	}

	for name, value := range c.When.Header {
		key := strings.ToLower(name)
		if key == "" {
			return out, errors.New("a header without a name")
		}
		if _, twice := out.headers[key]; twice {
			return out, fmt.Errorf("header %q occurs twice", name)
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

// NeedsHeaders reports whether a rule matches headers; if not, Facts.Headers may be
// empty.
func (r *Rules) NeedsHeaders() bool { return r.headers }

// Match evaluates every rule. All conditions of a rule must be met, each by some
// recipient and some value of a header.
func (r *Rules) Match(f Facts) Match {
	var out Match
	recipients := r.own(f)
	if len(recipients) == 0 && len(f.Recipients) > 0 {
		out.Foreign = true
		return out
	}
	taken := make(map[string]bool)
	var matched []route
	for _, rt := range r.routes {
		if rt.unmet(f, recipients, r.ownCase[f.Tenant]) != "" {
			continue
		}
		to := r.served(rt.to, f.Tenant)
		if len(to) == 0 { // a rule of other tenants
			continue
		}

		matched, out.Routes = append(matched, rt), append(out.Routes, rt.name)
		if rt.hold {
			out.Held = append(out.Held, rt.name)
		}
		for _, d := range to {
			if !taken[d] {
				taken[d] = true
				out.Destinations = append(out.Destinations, d)
			}
		}
	}
	if len(matched) > 0 {
		out.Unmatched = r.untaken(f, matched)
	}
	return out
}

// untaken returns the recipients in the tenant's domains that no route takes.
func (r *Rules) untaken(f Facts, routes []route) []string {
	var out []string
	seen := make(map[string]bool, len(f.Recipients)) // the sender alone bounds how many there are
	for _, text := range f.Recipients {
		bare := address.Bare(text)
		a := address.Parse(bare)
		if seen[bare] || !r.domains[f.Tenant].Covers(a) {
			continue
		}
		seen[bare] = true
		if !slices.ContainsFunc(routes, func(rt route) bool { return rt.takes(a, r.ownCase[f.Tenant]) }) {
			out = append(out, bare)
		}
	}
	return out
}

// own returns the recipients that rules match, without duplicates: those in the
// tenant's domains; if there are none and AnyRecipient is set, all.
func (r *Rules) own(f Facts) []address.Address {
	domains := r.domains[f.Tenant]
	seen := make(map[string]bool, len(f.Recipients))
	own, all := make([]address.Address, 0, len(f.Recipients)), make([]address.Address, 0, len(f.Recipients))
	for _, text := range f.Recipients {
		bare := address.Bare(text)
		if seen[bare] {
			continue
		}
		seen[bare] = true
		parsed := address.Parse(bare)
		all = append(all, parsed)
		if domains.Covers(parsed) {
			own = append(own, parsed)
		}
	}
	if len(own) == 0 && f.AnyRecipient {
		return all
	}
	return own
}

// Foreign returns the recipients of a stored email, with its edits applied, that are in
// no domain of its tenant, bare and without duplicates; nil if there are none.
func (r *Rules) Foreign(email contract.Email, m *ledger.Manifest) []string {
	return r.domains[email.Tenant].Foreign(FactsOf(email, m, nil).Recipients)
}

// Unmatched returns the recipients of a stored email, with its edits applied, that no
// rule takes while one takes another; nil if there are none, or if an edit names the
// destinations. message may be nil unless NeedsHeaders.
func (r *Rules) Unmatched(in contract.RouteInput, m *ledger.Manifest, message *mail.Message) []string {
	f := FactsOf(in.Email, m, message)
	f.AnyRecipient = in.AnyRecipient
	return r.unmatched(f, r.Match(f))
}

// unmatched returns the recipients that the result of a match leaves out.
func (r *Rules) unmatched(f Facts, met Match) []string {
	if len(f.EditedTo) > 0 {
		return nil
	}
	return met.Unmatched
}

// served returns those of destinations that serve the tenant.
func (r *Rules) served(destinations []string, tenant string) []string {
	out := make([]string, 0, len(destinations))
	for _, d := range destinations {
		if r.destinations[d].Serves(tenant) {
			out = append(out, d)
		}
	}
	return out
}

// unmet returns the first condition that is not met, in words for a person; empty if
// all are.
func (rt *route) unmet(f Facts, recipients []address.Address, ownCase bool) string {
	switch {
	case rt.source != nil && !rt.source.match(f.Source):
		return "the source does not match " + quoted(rt.source.text)
	case rt.tenant != "" && rt.tenant != f.Tenant:
		return "the tenant is not " + quoted(rt.tenant)
	case rt.sender != nil && !rt.sender.match(address.Parse(f.Sender), false):
		return "the sender does not match " + quoted(rt.sender.text)
	case rt.subject != nil && !rt.subject.match(f.Subject):
		return "the subject does not match " + quoted(rt.subject.text)
	}

	if why := rt.unmetBy(recipients, ownCase); why != "" {
		return why
	}
	if why := rt.unmetReported(f.Reported); why != "" {
		return why
	}

	for _, name := range slices.Sorted(maps.Keys(rt.headers)) {
		if p := rt.headers[name]; !headerMeets(name, p, f.Headers) {
			return "no header " + name + " matches " + quoted(p.text)
		}
	}

	return ""
}

func quoted(text string) string { return strconv.Quote(text) }

func headerMeets(name string, p pattern, headers []mail.Header) bool {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) && p.match(h.Value) {
			return true
		}
	}
	return false
}
