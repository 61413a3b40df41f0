package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// routePages lists the rules and tries them.
type routePages struct {
	*site
	service Rules
	choices Choices
}

// routesPage lists the rules and tries them on a sample.
type routesPage struct {
	Rules   []operations.RouteRow
	Known   operations.Choices
	Sample  sampleForm
	Outcome *rules.Explanation
}

// sampleForm is a sample as it was typed.
type sampleForm struct {
	Recipients, Sender, Subject, Source, Tenant, Headers, Reported string
}

func (h *routePages) list(g *gin.Context) error {
	return h.show(g, http.StatusOK, layout{}, sampleForm{}, nil)
}

func (h *routePages) show(g *gin.Context, status int, l layout, typed sampleForm, outcome *rules.Explanation) error {
	tenants := seeing(access.From(g.Request.Context()))
	_, rows := h.service.RouteRows(tenants)
	l.Title, l.Area = "Routes", "routes"
	l.Body = routesPage{Rules: rows, Known: h.choices.Choices(tenants), Sample: typed, Outcome: outcome}
	return h.render(g, status, "routes", l)
}

// test says where a mail would go. It is a POST, so that no address is in a
// URL or a log; it changes nothing.
func (h *routePages) test(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	typed := readSampleForm(g.Request.PostForm)
	in, err := typed.sample()
	if err != nil {
		return h.show(g, access.Status(err), layout{Problem: fault.From(err).Public}, typed, nil)
	}

	ctx := g.Request.Context()
	outcome, err := h.service.Test(ctx, access.From(ctx), in)
	if err != nil {
		return h.show(g, access.Status(err), layout{Problem: fault.From(err).Public}, typed, nil)
	}
	return h.show(g, http.StatusOK, layout{}, typed, &outcome)
}

func readSampleForm(post url.Values) sampleForm {
	field := func(name string) string { return strings.TrimSpace(post.Get(name)) }
	return sampleForm{
		Recipients: unixLines(post.Get("recipients")), Headers: unixLines(post.Get("headers")), Reported: unixLines(post.Get("reported")),
		Sender: field("sender"), Subject: field("subject"), Source: field("source"), Tenant: field("tenant"),
	}
}

// sample reads the form. It fails with fault.RequestInvalid and a sentence.
func (f sampleForm) sample() (operations.Sample, error) {
	in := operations.Sample{Recipients: rows(f.Recipients), Sender: f.Sender, Subject: f.Subject, Source: f.Source, Tenant: f.Tenant}
	for _, line := range rows(f.Headers) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return in, fault.New(fault.RequestInvalid, "Headers: each line is a name, a colon and a value.")
		}
		if in.Headers == nil {
			in.Headers = map[string]string{}
		}
		in.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}

	var reported mail.Reported
	for _, line := range rows(f.Reported) {
		name, value, _ := strings.Cut(line, ":")
		field := reported.Text(strings.TrimSpace(name))
		if field == nil {
			return in, fault.New(fault.RequestInvalid, "Reported: each line is spf, dkim, dmarc, type or mailbox, a colon and a value.")
		}
		*field = strings.TrimSpace(value)
	}
	in.Auth, in.Type, in.Mailbox = reported.Auth, reported.Type, reported.Mailbox

	if len(in.Recipients) == 0 {
		return in, fault.New(fault.RequestInvalid, "Name at least one recipient.")
	}
	return in, nil
}

// conditions writes the conditions of a rule, one text each.
func conditions(row operations.RouteRow) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(row.When)) {
		out = append(out, name+": "+row.When[name])
	}
	for _, name := range slices.Sorted(maps.Keys(row.Header)) {
		out = append(out, "header "+name+": "+row.Header[name])
	}
	return out
}
