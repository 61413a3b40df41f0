package operations

import (
	"context"
	"maps"
	"slices"
	"strings"

	"mailroom/ingress/operator/access"
	"mailroom/shared/address"
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

// RouteRows returns the rules that are Visible to callers of tenants, in their order, and
// the version of all rules.
func (s *Service) RouteRows(tenants []string) (version string, list []RouteRow) {
	list = make([]RouteRow, 0, len(s.cfg.Routes))
	for _, r := range Visible(s.cfg, tenants).Routes {
		row := RouteRow{Name: r.Name, When: conditions(r.When), Header: map[string]string{}, To: r.To, Hold: r.Hold}
		maps.Copy(row.Header, r.When.Header)
		list = append(list, row)
	}
	return s.deps.Rules.Version(), list
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

// Test says where the rules would send a sample and why. It shows only the rules that the
// caller sees, and an email of another tenant is not found. A sample without a tenant or a
// source gets those of sampleOrigin.
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
	shown := s.visibleTo(who).Routes
	out.Rules = slices.DeleteFunc(out.Rules, func(v rules.RuleVerdict) bool {
		return !slices.ContainsFunc(shown, func(r config.Route) bool { return r.Name == v.Name })
	})
	return out, nil
}

// made returns the facts of an invented mail.
func (s *Service) made(_ context.Context, who access.Identity, in Sample) (rules.Facts, error) {
	tenant, source, err := s.sampleOrigin(who, in)
	if err != nil {
		return rules.Facts{}, err
	}
	facts := rules.Facts{
		Recipients: in.Recipients, Sender: in.Sender, Subject: in.Subject, Source: source, Tenant: tenant, Reported: in.reported(),
	}
	for name, value := range in.Headers {
		facts.Headers = append(facts.Headers, mail.Header{Name: name, Value: value})
	}
	return facts, nil
}

// sampleOrigin returns tenant and source of a sample. The tenant is the named one, else that
// of the named source, else the one that owns a recipient, else the first; only tenants in
// which the caller has a role count. Any other is refused in the same words whether it is
// configured or not. The source is the named one, else the first of the tenant, which may have none.
func (s *Service) sampleOrigin(who access.Identity, in Sample) (tenant, source string, err error) {
	own := s.visibleTo(who)
	tenant = in.Tenant
	if tenant == "" {
		tenant = own.tenantOf(in)
	}

	switch {
	case who.In(tenant) < access.Viewer:
		return "", "", fault.New(fault.Forbidden, "rules are tried on mail of your own tenants: name one in which you have a role")
	case tenant != "" && !slices.ContainsFunc(s.cfg.Tenants, func(t config.Tenant) bool { return t.Name == tenant }):
		return "", "", fault.New(fault.RequestInvalid, "tenant must be a configured one")
	case in.Source != "":
		return tenant, in.Source, nil
	}

	for _, from := range own.Sources {
		if from.Tenant == tenant {
			return tenant, from.Name, nil
		}
	}
	return tenant, "", nil
}

// tenantOf returns the tenant that a sample without one belongs to.
func (c Config) tenantOf(in Sample) string {
	for _, s := range c.Sources {
		if s.Name == in.Source {
			return s.Tenant
		}
	}
	for _, t := range c.Tenants {
		if len(t.Domains) > 0 && slices.ContainsFunc(in.Recipients, address.NewDomains(t.Domains).Own) {
			return t.Name
		}
	}
	if len(c.Tenants) == 0 {
		return ""
	}
	return c.Tenants[0].Name
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
