package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/shared/address"
	"mailroom/shared/netguard"
)

// reserved are the paths that the ingress serves itself, apart from everything below
// schemasPath.
var reserved = map[string]bool{"/healthz": true, "/readyz": true}

const schemasPath = "/schemas"

// The defaults of what the file leaves out.
const (
	defaultTolerance = 5 * time.Minute
	defaultMaxBody   = Bytes(25 << 20)
	defaultMaxSize   = Bytes(25 << 20)
	defaultTimeout   = 10 * time.Second
	defaultFailures  = 5
	defaultOpenFor   = 30 * time.Second
	defaultRetry     = 24 * time.Hour

	defaultSignatureHeader  = "X-Signature"
	defaultThrottleFailures = 600
	defaultThrottlePer      = time.Minute
	defaultSpool            = Bytes(2 << 30)
	defaultStarts           = 32
	defaultAhead            = 64
	defaultKeepFailures     = 30 * 24 * time.Hour
	defaultGrace            = 24 * time.Hour
)

// maxTimeout bounds one attempt at a destination; the workflow abandons attempts that
// take much longer.
const maxTimeout = 2 * time.Minute

// Tenant finds a tenant by name.
func (f *File) Tenant(name string) (Tenant, bool) {
	for _, t := range f.Tenants {
		if t.Name == name {
			return t, true
		}
	}
	return Tenant{}, false
}

// Destination finds a destination by name.
func (f *File) Destination(name string) (Destination, bool) {
	for _, d := range f.Destinations {
		if d.Name == name {
			return d, true
		}
	}
	return Destination{}, false
}

// hasSource reports whether a source of that name is configured.
func (f *File) hasSource(name string) bool {
	for _, s := range f.Sources {
		if s.Name == name {
			return true
		}
	}
	return false
}

func (f *File) applyDefaults() {
	orDefault(&f.Unmatched, UnmatchedNote)
	for i := range f.Sources {
		s := &f.Sources[i]
		orDefault(&s.Tolerance, defaultTolerance)
		orDefault(&s.MaxBody, defaultMaxBody)
		orDefault(&s.Answers, s.Profile)
		orDefault(&s.SignatureHeader, defaultSignatureHeader)
		orDefault(&s.Limit.Burst, s.Limit.Rate)
	}

	f.Ingress.applyDefaults()
	f.Access.ApplyDefaults()
	f.Holds.applyDefaults()
	f.Discard.applyDefaults()
	f.Scanner.applyDefaults()
	orDefault(&f.Secrets.Grace, defaultGrace)

	for i, tenants := range f.served() {
		d := &f.Destinations[i]
		d.Tenants = tenants
		orDefault(&d.Timeout, defaultTimeout)
		orDefault(&d.MaxInFlight, DefaultMaxInFlight)
		orDefault(&d.Breaker.Failures, defaultFailures)
		orDefault(&d.Breaker.OpenFor, defaultOpenFor)
	}

	for i := range f.Tenants {
		lower(f.Tenants[i].Domains)
	}
	lower(f.Attachments.AllowedTypes)
	orDefault(&f.Attachments.MaxSize, defaultMaxSize)
	orDefault(&f.Retry.Deliver, defaultRetry)
	orDefault(&f.Retry.Scan, defaultRetry)
}

func (i *Ingress) applyDefaults() {
	orDefault(&i.PlainHTTP, "accept")
	orDefault(&i.Throttle.Failures, defaultThrottleFailures)
	orDefault(&i.Throttle.Per, defaultThrottlePer)
	orDefault(&i.Spool, defaultSpool)
	orDefault(&i.Starts.InFlight, defaultStarts)
	orDefault(&i.Starts.Ahead, defaultAhead)
	orDefault(&i.KeepFailures, defaultKeepFailures)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func lower(texts []string) {
	for i := range texts {
		texts[i] = strings.ToLower(texts[i])
	}
}

// checkNames checks that names and paths are unique and paths are not reserved.
func (c *checker) checkNames(f *File) {
	names := map[string]map[string]int{}
	once := func(list, field, value string, i int) {
		if value == "" {
			return
		}
		kind := list + "." + field
		if names[kind] == nil {
			names[kind] = map[string]int{}
		}
		if first, taken := names[kind][value]; taken {
			c.add(fmt.Sprintf("%q is taken by %s[%d]", value, list, first), list, i, field)
			return
		}
		names[kind][value] = i
	}

	for i, s := range f.Sources {
		once("sources", "name", s.Name, i)
		once("sources", "path", s.Path, i)
		if reserved[s.Path] || s.Path == schemasPath || strings.HasPrefix(s.Path, schemasPath+"/") {
			c.add(fmt.Sprintf("%q is served by the ingress itself", s.Path), "sources", i, "path")
		}
	}
	for i, t := range f.Tenants {
		once("tenants", "name", t.Name, i)
	}
	for i, d := range f.Destinations {
		once("destinations", "name", d.Name, i)
	}
	for i, r := range f.Routes {
		once("routes", "name", r.Name, i)
	}
	for i, o := range f.Operators {
		once("operators", "name", o.Name, i)
	}

	ids := map[string]int{}
	for i, k := range f.Encryption.Keys {
		if first, taken := ids[k.ID]; taken && k.ID != "" {
			c.add(fmt.Sprintf("%q is taken by encryption.keys[%d]", k.ID, first), "encryption", "keys", i, "id")
			continue
		}
		ids[k.ID] = i
	}
	c.checkDomains(f)
}

// checkDomains checks that a domain belongs to one tenant.
func (c *checker) checkDomains(f *File) {
	owner := map[string]int{}
	for i, t := range f.Tenants {
		for j, domain := range t.Domains {
			key := address.Domain(domain)
			if first, taken := owner[key]; taken && first != i {
				c.add(fmt.Sprintf("%q belongs to tenants[%d]", domain, first), "tenants", i, "domains", j)
				continue
			}
			owner[key] = i
		}
	}
}

// checkReferences checks that tenants, sources and destinations exist where they are named.
func (c *checker) checkReferences(f *File) {
	for i, s := range f.Sources {
		if _, ok := f.Tenant(s.Tenant); !ok && s.Tenant != "" {
			c.add(fmt.Sprintf("no tenant is named %q", s.Tenant), "sources", i, "tenant")
		}
		for j, key := range s.Secrets {
			if key.Scheme != "" && !slices.Contains(s.Schemes, key.Scheme) {
				c.add(fmt.Sprintf("%q is not among the schemes of the source", key.Scheme), "sources", i, "secrets", j, "scheme")
			}
		}
	}

	for i, d := range f.Destinations {
		if problem := checkURL(d.URL); problem != "" && d.URL != "" {
			c.add(problem, "destinations", i, "url")
		}
		if problem := checkHost(d); problem != "" {
			c.add(problem, "destinations", i, "url")
		}
		if d.Timeout > maxTimeout {
			c.add(fmt.Sprintf("must be at most %s", maxTimeout), "destinations", i, "timeout")
		}
	}

	if len(f.Attachments.FetchHosts) > 0 {
		c.add("must be empty: attachments that are links are not fetched yet", "attachments", "fetch_hosts")
	}

	for i, r := range f.Routes {
		for j, name := range r.To {
			if _, ok := f.Destination(name); !ok && name != "" {
				c.add(fmt.Sprintf("no destination is named %q", name), "routes", i, "to", j)
			}
		}
		if r.When.Source != "" && !f.hasSource(r.When.Source) {
			c.add(fmt.Sprintf("no source is named %q", r.When.Source), "routes", i, "when", "source")
		}
		if _, ok := f.Tenant(r.When.Tenant); !ok && r.When.Tenant != "" {
			c.add(fmt.Sprintf("no tenant is named %q", r.When.Tenant), "routes", i, "when", "tenant")
		}
	}
}

// checkURL returns what is wrong with the URL of a destination, without showing it: a URL
// may contain a credential.
func checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "must begin with http:// or https://"
	case u.Hostname() == "":
		return "must name a host"
	case u.User != nil:
		return "must not have a user or password; requests are signed with the secret"
	case u.Fragment != "":
		return "must not have a fragment"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "must name a port from 1 to 65535"
		}
	}
	return ""
}

// checkHost returns why a destination could never be called: the address in its URL is
// one that netguard refuses.
func checkHost(d Destination) string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return "" // checkURL says so
	}
	host := u.Hostname()
	if netguard.CheckHost(host, d.AllowPrivate) == nil {
		return ""
	}

	if netguard.CheckHost(host, true) == nil {
		return fmt.Sprintf("destination %q is at %s, a loopback or private address, and would never be called; "+
			"set allow_private: true if it is meant", d.Name, host)
	}
	return fmt.Sprintf("destination %q is at %s, a link-local, metadata or reserved address, which is never called; "+
		"use another address", d.Name, host)
}
