package desks

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/body"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// Bounds of a test.
const (
	maxSample           = 256 << 10 // bytes of its body
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

// RouteRows gives the rules in their order, and the name of what they are now.
func (d *Desks) RouteRows() (version string, list []RouteRow) {
	list = make([]RouteRow, 0, len(d.cfg.Routes))
	for _, r := range d.cfg.Routes {
		row := RouteRow{Name: r.Name, When: conditions(r.When), Header: map[string]string{}, To: r.To, Hold: r.Hold}
		for name, want := range r.When.Header {
			row.Header[name] = want
		}
		list = append(list, row)
	}
	return d.version, list
}

func conditions(w config.When) map[string]string {
	out := map[string]string{}
	for name, want := range map[string]string{
		"recipient": w.Recipient, "sender": w.Sender, "subject": w.Subject, "source": w.Source, "tenant": w.Tenant,
	} {
		if want != "" {
			out[name] = want
		}
	}
	return out
}

// Sample is a mail to try the rules on: a stored email by its event id, or what a
// person makes up.
type Sample struct {
	Email      string            `json:"email"`
	Source     string            `json:"source"` // of the email too, where two sources use its id
	Sender     string            `json:"sender"`
	Recipients []string          `json:"recipients"`
	Subject    string            `json:"subject"`
	Headers    map[string]string `json:"headers"`
	Tenant     string            `json:"tenant"`
}

// validate names the field that makes no sense, and its bound.
func (in *Sample) validate(tenants []config.Tenant) error {
	made := in.Sender != "" || in.Subject != "" || in.Tenant != "" || len(in.Recipients) > 0 || len(in.Headers) > 0
	switch {
	case in.Email != "" && made:
		return fault.New(fault.RequestInvalid, "email stands alone or with its source: the ledger has the rest")
	case len(in.Email) > contract.MaxEventID || !access.Plain(in.Email):
		return fault.Newf(fault.RequestInvalid, "email has at most %d bytes of printable UTF-8", contract.MaxEventID)
	case len(in.Source) > maxName || !access.Plain(in.Source):
		return fault.Newf(fault.RequestInvalid, "source has at most %d bytes of printable UTF-8", maxName)
	case len(in.Recipients) > maxSampleRecipients:
		return fault.Newf(fault.RequestInvalid, "recipients has at most %d addresses", maxSampleRecipients)
	case len(in.Headers) > maxSampleHeaders:
		return fault.Newf(fault.RequestInvalid, "headers has at most %d fields", maxSampleHeaders)
	case in.Tenant != "" && !slices.ContainsFunc(tenants, func(t config.Tenant) bool { return t.Name == in.Tenant }):
		return fault.New(fault.RequestInvalid, "tenant must be a configured one")
	}
	for name := range in.Headers {
		if strings.TrimSpace(name) == "" {
			return fault.New(fault.RequestInvalid, "headers holds a field without a name")
		}
	}
	return nil
}

// Test says where the rules would send a sample and why. An email of a tenant in
// which who has no role is not found. Without a source and a tenant a sample is of
// the first ones that are configured.
func (d *Desks) Test(ctx context.Context, who access.Identity, in Sample) (rules.Explanation, error) {
	if err := in.validate(d.cfg.Tenants); err != nil {
		return rules.Explanation{}, err
	}
	if in.Email == "" {
		facts := rules.Facts{
			Recipients: in.Recipients, Sender: in.Sender, Subject: in.Subject, Source: in.Source, Tenant: in.Tenant,
		}
		if facts.Source == "" {
			facts.Source = contract.FirstSource
		}
		if facts.Tenant == "" && len(d.cfg.Tenants) > 0 {
			facts.Tenant = d.cfg.Tenants[0].Name
		}
		for name, value := range in.Headers {
			facts.Headers = append(facts.Headers, mail.Header{Name: name, Value: value})
		}
		return d.rules.Explain(facts), nil
	}
	email, err := d.deps.Ledger.FindEmail(ctx, in.Source, in.Email)
	if err != nil {
		return rules.Explanation{}, err
	}
	if who.In(email.Tenant) < access.Viewer {
		return rules.Explanation{}, fault.New(fault.NotFound, "no email with this id")
	}
	m, err := d.deps.Ledger.Manifest(ctx, email.ID)
	if err != nil {
		return rules.Explanation{}, err
	}
	facts := rules.Facts{
		Recipients: m.Recipients, Sender: m.Sender, Subject: m.Subject, Source: email.Source, Tenant: email.Tenant,
	}
	if d.rules.NeedsHeaders() && d.deps.Messages != nil {
		message, err := d.deps.Messages.Message(ctx, m)
		if err != nil {
			return rules.Explanation{}, err
		}
		facts.Headers = message.Headers
	}
	return d.rules.Explain(facts), nil
}

func (d *Desks) overview(c *gin.Context) error {
	if err := noQuery(c); err != nil {
		return err
	}
	ctx := c.Request.Context()
	o, err := d.Overview(ctx, tenantsOf(access.From(ctx)))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, o)
	return nil
}

func (d *Desks) routes(c *gin.Context) error {
	if err := noQuery(c); err != nil {
		return err
	}
	version, list := d.RouteRows()
	c.JSON(http.StatusOK, map[string]any{"version": version, "routes": list})
	return nil
}

func (d *Desks) test(c *gin.Context) error {
	if err := noQuery(c); err != nil {
		return err
	}
	var in Sample
	if err := body.Read(c, &in, formOf(maxSample)); err != nil {
		return err
	}
	out, err := d.Test(c.Request.Context(), access.From(c.Request.Context()), in)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// noQuery refuses parameters: a mistyped one must not be taken for a filter.
func noQuery(c *gin.Context) error {
	if c.Request.URL.RawQuery != "" {
		return fault.New(fault.RequestInvalid, "this takes no query")
	}
	return nil
}

// formOf is the form of a request to the desks.
func formOf(limit int64) body.Form {
	return body.Form{Name: "this", Limit: limit, Is: "is one JSON object with the fields that the documentation names and no others"}
}
