package operations

import (
	"context"
	"maps"
	"slices"
	"strings"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// Bounds of a test.
const (
	maxSampleRecipients = 1000
	maxSampleHeaders    = 1000
	maxName             = 200 // bytes of a source
)

// RouteRow is one rule as it is configured.
type RouteRow struct {
	Name string            `json:"name"`
	When map[string]string `json:"when"`
	// Header is the part of the conditions that is about headers.
	Header map[string]string `json:"header"`
	To     []string          `json:"to"`
	Hold   bool              `json:"hold"`
}

// RouteRows returns the rules in their order, and their version. For tenants, nil meaning
// all, it returns the rules that their mail can match, with the destinations that serve one
// of them.
func (s *Service) RouteRows(tenants []string) (version string, list []RouteRow) {
	list = make([]RouteRow, 0, len(s.cfg.Routes))
	for _, r := range s.cfg.Routes {
		to := slices.DeleteFunc(slices.Clone(r.To), func(name string) bool { return !s.shows(name, tenants) })
		if tenants != nil && (r.When.Tenant != "" && !slices.Contains(tenants, r.When.Tenant) || len(to) == 0) {
			continue
		}

		row := RouteRow{Name: r.Name, When: conditions(r.When), Header: map[string]string{}, To: to, Hold: r.Hold}
		maps.Copy(row.Header, r.When.Header)
		list = append(list, row)
	}
	return s.deps.Rules.Version(), list
}

// shows reports whether the destination of a name serves one of tenants, nil meaning
// all of them and every destination.
func (s *Service) shows(name string, tenants []string) bool {
	to, _ := s.destination(name)
	return tenants == nil || slices.ContainsFunc(tenants, to.Serves)
}

func conditions(w config.When) map[string]string {
	out := map[string]string{}
	for name, want := range map[string]string{
		"recipient": w.Recipient, "tag": w.Tag, "sender": w.Sender, "subject": w.Subject, "source": w.Source, "tenant": w.Tenant,
	} {
		if want != "" {
			out[name] = want
		}
	}
	maps.Copy(out, rules.Reported(w))
	return out
}

// Sample is a mail to try the rules on: a stored email by its event id, or an invented one.
type Sample struct {
	Email      string            `json:"email"`
	Source     string            `json:"source"` // of the email too, where two sources use its id
	Sender     string            `json:"sender"`
	Recipients []string          `json:"recipients"`
	Subject    string            `json:"subject"`
	Headers    map[string]string `json:"headers"`
	Tenant     string            `json:"tenant"`
	// Auth, Type and Mailbox are what the provider would report with the mail.
	Auth    mail.Auth `json:"auth"`
	Type    string    `json:"type"`
	Mailbox string    `json:"mailbox"`
}

// reported returns what the provider would report.
func (in *Sample) reported() mail.Reported {
	return mail.Reported{Auth: in.Auth, Type: in.Type, Mailbox: in.Mailbox}
}

// validate names the field that is invalid, and its bound.
func (in *Sample) validate() error {
	made := in.Sender != "" || in.Subject != "" || in.Tenant != "" || len(in.Recipients) > 0 || len(in.Headers) > 0 ||
		in.reported() != mail.Reported{}
	switch {
	case in.Email != "" && made:
		return fault.New(fault.RequestInvalid, "email goes alone or with its source: the ledger has the other fields")
	case len(in.Email) > contract.MaxEventID || !access.Plain(in.Email):
		return fault.Newf(fault.RequestInvalid, "email has at most %d bytes of printable UTF-8", contract.MaxEventID)
	case len(in.Source) > maxName || !access.Plain(in.Source):
		return fault.Newf(fault.RequestInvalid, "source has at most %d bytes of printable UTF-8", maxName)
	case len(in.Recipients) > maxSampleRecipients:
		return fault.Newf(fault.RequestInvalid, "recipients has at most %d addresses", maxSampleRecipients)
	case len(in.Headers) > maxSampleHeaders:
		return fault.Newf(fault.RequestInvalid, "headers has at most %d fields", maxSampleHeaders)
	}

	for name := range in.Headers {
		if strings.TrimSpace(name) == "" {
			return fault.New(fault.RequestInvalid, "headers has a field without a name")
		}
	}

	return nil
}

// Test says where the rules would send a sample and why. It shows only rules of tenants in
// which the caller has a role, and an email of another tenant is not found. A sample
// without a tenant belongs to the first configured one in which the caller has a role, and
// one without a source to the first source.
func (s *Service) Test(ctx context.Context, who access.Identity, in Sample) (rules.Explanation, error) {
	if err := in.validate(); err != nil {
		return rules.Explanation{}, err
	}
	read := s.made
	if in.Email != "" {
		read = s.stored
	}
	facts, err := read(ctx, who, in)
	if err != nil {
		return rules.Explanation{}, err
	}

	out := s.deps.Rules.Explain(facts)
	_, shown := s.RouteRows(tenantsOf(who))
	out.Rules = slices.DeleteFunc(out.Rules, func(v rules.RuleVerdict) bool {
		return !slices.ContainsFunc(shown, func(r RouteRow) bool { return r.Name == v.Name })
	})
	return out, nil
}

// made returns the facts of an invented mail.
func (s *Service) made(_ context.Context, who access.Identity, in Sample) (rules.Facts, error) {
	tenant, err := s.sampleTenant(who, in.Tenant)
	if err != nil {
		return rules.Facts{}, err
	}
	facts := rules.Facts{
		Recipients: in.Recipients, Sender: in.Sender, Subject: in.Subject, Source: in.Source, Tenant: tenant, Reported: in.reported(),
	}
	if facts.Source == "" {
		facts.Source = contract.FirstSource
	}
	for name, value := range in.Headers {
		facts.Headers = append(facts.Headers, mail.Header{Name: name, Value: value})
	}
	return facts, nil
}

// sampleTenant returns the tenant of a sample: the named one, else the first configured
// one in which the caller has a role. A tenant in which it has none is refused in the same
// words whether it is configured or not.
func (s *Service) sampleTenant(who access.Identity, name string) (string, error) {
	if name == "" {
		for _, t := range s.cfg.Tenants {
			if who.In(t.Name) >= access.Viewer {
				return t.Name, nil
			}
		}
	}
	switch {
	case who.In(name) < access.Viewer:
		return "", fault.New(fault.Forbidden, "rules are tried on mail of your own tenants: name one in which you have a role")
	case name != "" && !slices.ContainsFunc(s.cfg.Tenants, func(t config.Tenant) bool { return t.Name == name }):
		return "", fault.New(fault.RequestInvalid, "tenant must be a configured one")
	}
	return name, nil
}

// stored returns the facts of a stored email with its edits applied.
func (s *Service) stored(ctx context.Context, who access.Identity, in Sample) (rules.Facts, error) {
	email, err := s.deps.Ledger.FindEmail(ctx, ledger.Lookup{Source: in.Source, EventID: in.Email, Tenants: tenantsOf(who)})
	if err != nil {
		return rules.Facts{}, err
	}
	if who.In(email.Tenant) < access.Viewer {
		return rules.Facts{}, fault.New(fault.NotFound, "no email with this id")
	}
	m, err := s.deps.Ledger.Manifest(ctx, email.ID)
	if err != nil {
		return rules.Facts{}, err
	}

	var message *mail.Message
	if s.deps.Rules.NeedsHeaders() {
		if message, err = s.deps.Messages.Message(ctx, m); err != nil {
			return rules.Facts{}, err
		}
	}
	return rules.FactsOf(email.Email(), m, message), nil
}
