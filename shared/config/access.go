package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"mailroom/shared/contract"
)

// The defaults of logins.
const (
	defaultIdle        = 8 * time.Hour
	defaultAbsolute    = 24 * time.Hour
	defaultGroupsClaim = "groups"
	defaultNameClaim   = "preferred_username"
)

// maxSession bounds a session, because roles are read from the OpenID provider only at
// the login.
const maxSession = 7 * 24 * time.Hour

// Access configures logins to console and API.
type Access struct {
	// PublicURL is the origin under which browsers reach the operator listener,
	// such as https://mailroom.example.com. Without it, logins are possible
	// only on this machine.
	PublicURL string       `yaml:"public_url"`
	Session   SessionLimit `yaml:"session"`
	// TokenLogin lets people log in with a bearer token; default true.
	TokenLogin *bool `yaml:"token_login"`
	OIDC       OIDC  `yaml:"oidc"` // used if it has an issuer
}

// AllowsToken reports whether people may log in with a bearer token.
func (a Access) AllowsToken() bool { return a.TokenLogin == nil || *a.TokenLogin }

// SessionLimit bounds a login.
type SessionLimit struct {
	Idle     time.Duration `yaml:"idle"`     // without a request; default 8h
	Absolute time.Duration `yaml:"absolute"` // at all; default 24h
}

// OIDC is the OpenID provider that authenticates operators.
type OIDC struct {
	Issuer       string   `yaml:"issuer"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret KeyRef   `yaml:"client_secret"` // without a reference: a public client
	Scopes       []string `yaml:"scopes"`        // openid is always among them; default openid, profile, email
	GroupsClaim  string   `yaml:"groups_claim"`  // default groups
	// NameClaim holds what decisions record; default preferred_username. It must be
	// one that users cannot choose for themselves. Where it is missing, sub is used.
	NameClaim string      `yaml:"name_claim"`
	Groups    []OIDCGroup `yaml:"groups"`
}

// OIDCGroup is the role of a group of the provider.
type OIDCGroup struct {
	Group   string   `yaml:"group"`
	Role    string   `yaml:"role"`
	Tenants []string `yaml:"tenants"` // empty: every tenant
}

// ApplyDefaults fills in what the file leaves out.
func (a *Access) ApplyDefaults() {
	orDefault(&a.Session.Idle, defaultIdle)
	orDefault(&a.Session.Absolute, defaultAbsolute)
	o := &a.OIDC
	orDefault(&o.GroupsClaim, defaultGroupsClaim)
	orDefault(&o.NameClaim, defaultNameClaim)
	if len(o.Scopes) == 0 {
		o.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(o.Scopes, "openid") {
		o.Scopes = append([]string{"openid"}, o.Scopes...)
	}
}

// checkAccess checks operators, sessions and the OpenID provider.
func (c *checker) checkAccess(f *File) {
	for i, o := range f.Operators {
		for key, name := range map[string]string{"name": o.Name, "owner": o.Owner} {
			if contract.ReservedActor(name) {
				c.add("is a name that Mailroom itself acts under; choose another", "operators", i, key)
			}
		}
		if o.Role == "" && len(o.Roles) == 0 {
			c.add("is missing; give role, for every tenant, or roles, by tenant", "operators", i, "role")
		}
		for tenant := range o.Roles {
			if _, ok := f.Tenant(tenant); !ok {
				c.add(fmt.Sprintf("no tenant is named %q", tenant), "operators", i, "roles", tenant)
			}
		}
	}

	a := f.Access
	if problem := checkOrigin(a.PublicURL, true); a.PublicURL != "" && problem != "" {
		c.add(problem, "access", "public_url")
	}

	if a.Session.Absolute > maxSession {
		c.add(fmt.Sprintf("must be at most %s", maxSession), "access", "session", "absolute")
	}
	limits := a
	limits.ApplyDefaults()
	if limits.Session.Idle > limits.Session.Absolute {
		c.add(fmt.Sprintf("must not be longer than absolute, which is %s", limits.Session.Absolute), "access", "session", "idle")
	}

	if a.OIDC.Issuer != "" {
		c.checkOIDC(f)
	} else if !a.AllowsToken() {
		c.add("must be true without oidc: no login would be possible", "access", "token_login")
	}
}

func (c *checker) checkOIDC(f *File) {
	o := f.Access.OIDC
	if f.Access.PublicURL == "" {
		c.add("is missing; the OpenID provider sends people back there", "access", "public_url")
	}
	if problem := checkOrigin(o.Issuer, false); problem != "" {
		c.add(problem, "access", "oidc", "issuer")
	}
	for i, g := range o.Groups {
		for j, tenant := range g.Tenants {
			if _, ok := f.Tenant(tenant); !ok {
				c.add(fmt.Sprintf("no tenant is named %q", tenant), "access", "oidc", "groups", i, "tenants", j)
			}
		}
	}
}

// checkOrigin returns what is wrong with a URL that logins depend on; alone means that
// it must have no path.
func checkOrigin(text string, alone bool) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL"
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return "must begin with https:// and name a host"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "must not have a user, a query or a fragment"
	case alone && u.Path != "":
		return "must be an origin without a path or a slash at its end, such as https://mailroom.example.com"
	case u.Scheme == "http" && !loopbackName(u.Hostname()):
		return "must begin with https://; http:// is for this machine alone"
	}
	return ""
}

func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
