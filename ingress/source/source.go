// Package source turns the configured webhook sources into the form that the ingress
// uses: which addresses may post, how requests are verified, which tenant owns the mail,
// how large a body may be, and the HTTP status of each failure.
//
// Invariants:
//
//   - A source for which no request can be authentic is an error at start; it never
//     accepts unsigned requests instead.
//   - An unknown profile or answer table is an error at start.
//   - Every answer table has a status for every fault.Code that a webhook can meet, and no
//     temporary failure has a status after which the provider gives up.
//   - A Source never changes after Resolve and is safe for concurrent use.
//
// The statuses are in answers.go, the choice of signature schemes in schemes.go. To follow
// a request, read ingress/webhook/handler.go; for the schemes themselves, ingress/signature.
package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailroom/ingress/signature"
	"mailroom/shared/address"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// Source is one webhook endpoint, built from its checked configuration.
type Source struct {
	Name    string
	Path    string
	Tenant  string
	Schemes []signature.Scheme
	// MaxBody is the largest accepted raw body in bytes.
	MaxBody int64
	// Strict refuses payloads with unknown fields.
	Strict bool
	// Disabled refuses every request.
	Disabled bool
	// Insecure accepts unsigned requests: its scheme is none.
	Insecure bool
	// AllowFrom lists the networks (CIDR) and addresses that may post. If it is empty
	// every address may.
	AllowFrom []string
	// Encodings lists the content encodings that are accepted in addition to identity.
	Encodings []string
	// Limit bounds what the source may send; a zero field is no bound.
	Limit config.SourceLimit
	// Answers is the name of the answer table, never empty.
	Answers string
	// Config is the configuration of the source, for the operator API. Its secrets may
	// be renewed at any time.
	Config config.Source

	domains address.Domains
	answers Answers
}

// Resolve returns the sources of a configuration file whose secret references have been
// resolved. The error names every mistake in every source; the result then holds the
// sources without one.
func Resolve(f *config.File) ([]*Source, error) {
	var (
		out      []*Source
		mistakes []error
	)
	for _, c := range f.Sources {
		tenant, ok := f.Tenant(c.Tenant)
		if !ok {
			mistakes = append(mistakes, fmt.Errorf("source %s: tenant %q is not configured", c.Name, c.Tenant))
			continue
		}
		s, err := New(c, tenant)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("source %s: %w", c.Name, err))
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(mistakes...)
}

// Check returns what Resolve refuses in a loaded file, with the place of each mistake. The
// secrets of the sources must have been resolved.
func Check(f *config.File) []config.Mistake {
	var out []config.Mistake
	for i, c := range f.Sources {
		tenant, _ := f.Tenant(c.Tenant) // a loaded file has it
		_, err := New(c, tenant)
		if err == nil {
			continue
		}
		for text := range strings.SplitSeq(err.Error(), "\n") {
			out = append(out, f.Mistake(text, "sources", i))
		}
	}
	return out
}

// New returns one source of one tenant, or an error about its name, path, max_body,
// profile, answers or schemes.
func New(c config.Source, tenant config.Tenant) (*Source, error) {
	if c.Name == "" || !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, ":*") {
		return nil, fmt.Errorf("needs a name, and a path that begins with / and contains neither : nor *; these are %q and %q", c.Name, c.Path)
	}
	if c.MaxBody <= 0 {
		return nil, fmt.Errorf("max_body %d is not positive", c.MaxBody)
	}

	name, ok := profiles[c.Profile]
	if !ok {
		return nil, fmt.Errorf("profile %q does not exist", c.Profile)
	}
	if c.Answers != "" {
		name = c.Answers
	}
	family, ok := families[name]
	if !ok {
		return nil, fmt.Errorf("answers %q do not exist", name)
	}

	schemes, err := newSchemes(c)
	if err != nil {
		return nil, err
	}

	return &Source{
		Name: c.Name, Path: c.Path, Tenant: tenant.Name, Schemes: schemes, MaxBody: int64(c.MaxBody), Strict: c.Strict,
		Disabled: c.Disabled, Insecure: c.Insecure, AllowFrom: c.AllowFrom, Encodings: c.Encodings, Limit: c.Limit,
		Answers: name, Config: c,
		domains: address.NewDomains(tenant.Domains), answers: column(family),
	}, nil
}

// Hold returns a hold for mail whose recipients are all outside the tenant's domains, else
// nil. It returns nil if there are no recipients; a tenant without domains owns every
// recipient.
func (s *Source) Hold(recipients []string) *contract.Hold {
	if len(recipients) == 0 || slices.ContainsFunc(recipients, s.domains.Own) {
		return nil
	}
	return &contract.Hold{
		Reason: contract.RecipientForeign,
		Detail: "no recipient belongs to a domain of tenant " + s.Tenant,
	}
}

// KeyRef returns the reference to the secret with the given number in the configuration,
// empty if there is none.
func (s *Source) KeyRef(number int) string {
	for i, k := range s.Config.Secrets {
		if s.Config.KeyNumber(i) == number {
			return k.Ref
		}
	}
	return ""
}

// Status returns the HTTP status with which this source answers a failure.
func (s *Source) Status(code fault.Code) int { return s.answers.Status(code) }

// Keeps reports whether an authentic event that failed with code is accepted and held for
// an operator, because its provider would not send it in another form.
func (s *Source) Keeps(code fault.Code) bool { return s.answers.Keeps(code) }
