// Package source turns the configured webhook sources into what the ingress works
// with: who may post, how that is proved, whose mail it is, how large it may be,
// and what each failure answers.
//
// Invariants: a source that nobody can be authentic for is an error at start, never
// an open door; a profile or an answer table that is not known here is refused;
// every answer table has an answer for every fault.Code that a source can meet, and
// none answers what time may cure with a status that makes its provider give up; a
// Source never changes after Resolve and is safe for many requests at once.
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

// Source is one webhook endpoint, ready to use.
type Source struct {
	Name    string
	Path    string
	Tenant  string
	Schemes []signature.Scheme
	// MaxBody is the largest accepted raw body in bytes.
	MaxBody int64
	// Strict refuses fields that the payload's shape does not name.
	Strict bool
	// Disabled refuses every request.
	Disabled bool
	// Insecure lets anybody post: its scheme is none.
	Insecure bool
	// AllowFrom lists the networks (CIDR) that may post; empty: every address.
	AllowFrom []string
	// Encodings lists the content encodings that are accepted beside identity.
	Encodings []string
	// Limit bounds what the source may send; its zero fields do not.
	Limit config.SourceLimit
	// Answers is the name of the answer table, never empty.
	Answers string
	// Config is the source as it is configured, for those who tell of it. Its
	// secrets are live.
	Config config.Source

	domains address.Domains
	answers Answers
}

// Resolve makes the sources of a configuration file whose references are already
// resolved. Every mistake is named, all at once.
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

// New makes one source of one tenant.
func New(c config.Source, tenant config.Tenant) (*Source, error) {
	if c.Name == "" || !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, ":*") {
		return nil, fmt.Errorf("needs a name and a path that begins with / and holds neither : nor *, not %q and %q", c.Name, c.Path)
	}
	if c.MaxBody <= 0 {
		return nil, fmt.Errorf("max_body %d is not positive", c.MaxBody)
	}
	name, ok := profiles[c.Profile]
	if !ok {
		return nil, fmt.Errorf("profile %q is not known", c.Profile)
	}
	if c.Answers != "" {
		name = c.Answers
	}
	family, ok := families[name]
	if !ok {
		return nil, fmt.Errorf("answers %q are not known", name)
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

// Hold says whether mail to these recipients needs a person first: when there are
// recipients and not one of them is in the tenant's domains. A tenant without
// domains owns every recipient.
func (s *Source) Hold(recipients []string) *contract.Hold {
	if len(recipients) == 0 || slices.ContainsFunc(recipients, s.domains.Own) {
		return nil
	}
	return &contract.Hold{
		Reason: contract.RecipientForeign,
		Detail: "no recipient belongs to a domain of tenant " + s.Tenant,
	}
}

// KeyRef is the reference by which the configuration names the secret of a number,
// empty where it has none of that number.
func (s *Source) KeyRef(number int) string {
	for i, k := range s.Config.Secrets {
		if s.Config.KeyNumber(i) == number {
			return k.Ref
		}
	}
	return ""
}

// Status is the HTTP status that a failure answers on this source.
func (s *Source) Status(code fault.Code) int { return s.answers.Status(code) }

// Keeps reports whether an authentic event that failed with code is accepted and
// held for a person, because its provider would not send it in another form.
func (s *Source) Keeps(code fault.Code) bool { return s.answers.Keeps(code) }
