package access

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

const (
	providerTimeout = 10 * time.Second
	// An unavailable provider is asked again after providerPause; a discovered
	// configuration is used for providerFresh.
	providerPause = 2 * time.Second
	providerFresh = time.Hour
)

// provider is the OpenID provider. Its configuration is discovered when it is first needed.
type provider struct {
	access config.Access
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	found  *oidc.Provider
	asked  time.Time
	failed error
}

// newProvider returns a provider; a nil client is one with a timeout of 10 s.
func newProvider(access config.Access, client *http.Client, now func() time.Time) *provider {
	if client == nil {
		client = &http.Client{Timeout: providerTimeout}
	}
	return &provider{access: access, client: client, now: now}
}

// context returns ctx with the HTTP client that the OpenID libraries use. The discovered
// provider keeps its context to fetch keys later, so discover passes one without cancel.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// discover returns the discovered configuration of the provider (OpenID Connect Discovery
// section 4). While the provider is unavailable it returns the last one, or a fault of code
// downstream_unavailable if there is none.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	age := p.now().Sub(p.asked)
	switch {
	case p.failed == nil && p.found != nil && age < providerFresh:
		return p.found, nil
	case p.failed != nil && age < providerPause:
		if p.found != nil {
			return p.found, nil
		}
		return nil, p.failed
	}

	found, err := oidc.NewProvider(p.context(context.WithoutCancel(ctx)), p.access.OIDC.Issuer)
	p.asked, p.failed = p.now(), nil
	if err != nil {
		p.failed = fault.Wrap(fault.DownstreamUnavailable, "Your organisation's login does not answer. Try again in a moment.", err)
		if p.found != nil {
			return p.found, nil
		}
		return nil, p.failed
	}

	p.found = found
	return found, nil
}

// oauth returns the configuration of the authorization code flow.
func (p *provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.access.OIDC.ClientID, ClientSecret: p.access.OIDC.ClientSecret.Key.Reveal(), Endpoint: found.Endpoint(),
		RedirectURL: p.access.PublicURL + "/oidc/callback", Scopes: p.access.OIDC.Scopes,
	}
}

// authorize returns the URL of the provider's login (OpenID Connect Core section 3.1.2.1,
// with PKCE, RFC 7636).
func (p *provider) authorize(ctx context.Context, state, nonce, verifier string) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.oauth(found).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// person is a human whose identity the provider has verified.
type person struct {
	name, display string
	groups        []string
}

// errNotVouched is returned for an answer of the provider that cannot be verified.
var errNotVouched = fault.New(fault.Unauthorized, "The answer of your organisation's login is not valid. Log in again.")

// exchange exchanges a code for the person that logged in (OpenID Connect Core section 3.1.3).
func (p *provider) exchange(ctx context.Context, code string, login ledger.Login) (person, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return person{}, err
	}

	ctx = p.context(ctx)
	tokens, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(login.Verifier))
	if err != nil {
		var answered *oauth2.RetrieveError
		if errors.As(err, &answered) && answered.Response.StatusCode < http.StatusInternalServerError {
			return person{}, fmt.Errorf("exchange code: %s: %w", answered.ErrorCode, errNotVouched)
		}
		return person{}, fault.Wrap(fault.DownstreamUnavailable, "Your organisation's login does not answer. Try again in a moment.", err)
	}

	text, ok := tokens.Extra("id_token").(string)
	if !ok {
		return person{}, fmt.Errorf("no id_token: %w", errNotVouched)
	}

	verifier := found.Verifier(&oidc.Config{ClientID: p.access.OIDC.ClientID, Now: p.now})
	token, err := verifier.Verify(ctx, text)
	if err != nil {
		// The library's error quotes claims, at most audience and times.
		return person{}, fmt.Errorf("id_token: %w: %w", err, errNotVouched)
	}

	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(login.Nonce)) != 1 {
		return person{}, fmt.Errorf("id_token: nonce: %w", errNotVouched)
	}

	return p.person(ctx, found, token, tokens)
}

// person reads the claims of the ID token, and those of the userinfo endpoint if the ID
// token has no groups (OpenID Connect Core section 5.3).
func (p *provider) person(ctx context.Context, found *oidc.Provider, token *oidc.IDToken, tokens *oauth2.Token) (person, error) {
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return person{}, fmt.Errorf("id_token: %w: %w", err, errNotVouched)
	}

	o := p.access.OIDC
	if _, there := claims[o.GroupsClaim]; !there && found.UserInfoEndpoint() != "" {
		info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		switch {
		case err != nil:
			return person{}, fault.Wrap(fault.DownstreamUnavailable, "Your organisation's login does not answer. Try again in a moment.", err)
		case info.Subject != token.Subject:
			return person{}, fmt.Errorf("userinfo is about another subject: %w", errNotVouched)
		}

		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return person{}, fmt.Errorf("userinfo: %w: %w", err, errNotVouched)
		}
		if own, there := claims["email"]; there && own != more["email"] {
			delete(more, "email_verified") // it is about another address
		}
		for name, value := range more {
			if _, there := claims[name]; !there {
				claims[name] = value
			}
		}
	}

	return person{name: p.nameOf(claims, token.Subject), display: displayOf(claims), groups: groupsOf(claims[o.GroupsClaim])}, nil
}

// nameOf returns the actor for recorded decisions, empty if there is none. It always
// contains an @, which no name of a token does, so that a person cannot pass for a token.
// An email address is used only if the provider has verified it (OpenID Connect Core section
// 5.1).
func (p *provider) nameOf(claims map[string]any, subject string) string {
	name, _ := claims[p.access.OIDC.NameClaim].(string)
	if p.access.OIDC.NameClaim == "email" && !emailVerified(claims) {
		name = ""
	}

	host := p.access.OIDC.Issuer
	if u, err := url.Parse(host); err == nil {
		host = u.Hostname()
	}
	if contract.ReservedActor(name) || contract.ReservedActor(subject) { // a person cannot pass for the system
		return ""
	}

	for _, candidate := range []string{name, subject} {
		if !strings.Contains(candidate, "@") {
			candidate += "@" + host
		}
		if !strings.HasPrefix(candidate, "@") && len(candidate) <= contract.MaxActor && Plain(candidate) {
			return candidate
		}
	}

	return ""
}

// emailVerified reports whether the provider has verified the address. Some providers write
// the claim as text.
func emailVerified(claims map[string]any) bool {
	return claims["email_verified"] == true || claims["email_verified"] == "true"
}

// displayOf returns the name for pages, empty if there is none.
func displayOf(claims map[string]any) string {
	name, _ := claims["name"].(string)
	if len(name) > contract.MaxActor || !Plain(name) {
		return ""
	}
	return name
}

// groupsOf returns the groups of a claim that is a list of names or one name, else nil.
func groupsOf(claim any) []string {
	var groups []string
	switch v := claim.(type) {
	case string:
		groups = append(groups, v)
	case []any:
		for _, g := range v {
			if name, ok := g.(string); ok {
				groups = append(groups, name)
			}
		}
	case json.Number, nil:
	}
	return groups
}
