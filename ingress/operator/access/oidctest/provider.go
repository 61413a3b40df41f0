// Package oidctest starts an OpenID provider for tests: the certified implementation of
// zitadel/oidc, over HTTP, with two users. Only tests import it; for the code under test, read
// provider.go and oidc.go in ingress/operator/access.
package oidctest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The client, and the password of all accounts.
const (
	ClientID     = "mailroom"
	ClientSecret = "client-secret"
	Password     = "swordfish"
)

// The users: Ada is in the groups mail-operators and staff, Bob only in staff, to which the
// tests assign no role.
const (
	Ada = "ada"
	Bob = "bob"
)

// Provider is a running provider.
type Provider struct {
	URL string // its issuer
	// Unavailable makes it answer every request with 503.
	Unavailable atomic.Bool
	// Stale makes it issue ID tokens that have already expired.
	Stale atomic.Bool

	storage *people
	op      *op.Provider
}

// Start starts a provider with one client, whose redirect URI is redirect. It stops when the
// test ends.
func Start(t testing.TB, redirect string) *Provider {
	t.Helper()
	p := &Provider{}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.URL = server.URL

	p.storage = &people{
		provider: p,
		Storage: storage.NewStorageWithClients(users{}, map[string]*storage.Client{
			ClientID: storage.WebClient(ClientID, ClientSecret, redirect),
		}),
	}

	var err error
	p.op, err = op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, p.storage, op.StaticIssuer(p.URL),
		op.WithAllowInsecure())
	require.NoError(t, err)
	return p
}

// serve answers the login form itself and passes other requests to the provider.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.Unavailable.Load():
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case r.URL.Path == "/login/username" && r.Method == http.MethodPost:
		id := r.FormValue("id")
		if err := p.storage.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, p.URL+"/authorize/callback?id="+url.QueryEscape(id), http.StatusFound)
	default:
		p.op.ServeHTTP(w, r)
	}
}

// Browse does what a user does at the provider: it follows an authorization request and logs
// in as name. It returns the URL to which the provider redirects the browser.
func (p *Provider) Browse(t testing.TB, authorize, name string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	next := func(method, address string, form url.Values) *url.URL {
		if len(form) > 0 {
			address += "?" + form.Encode()
		}
		req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		to, err := resp.Location()
		require.NoError(t, err, "%s: %s", address, resp.Status)
		return to
	}

	to := next(http.MethodGet, authorize, nil)
	if to.Query().Get("error") != "" {
		return to
	}

	to = next(http.MethodPost, p.URL+"/login/username", url.Values{
		"id": {to.Query().Get("authRequestID")}, "username": {name}, "password": {Password},
	})

	return next(http.MethodGet, to.String(), nil)
}

// people is the provider's storage, with groups.
type people struct {
	*storage.Storage
	provider *Provider
}

// SetUserinfoFromToken implements op.Storage.
func (s *people) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin); err != nil {
		return fmt.Errorf("userinfo of %s: %w", subject, err)
	}
	if subject == Ada {
		info.AppendClaims("groups", []string{"mail-operators", "staff"})
		return nil
	}
	info.AppendClaims("groups", []string{"staff"})
	return nil
}

// GetClientByClientID implements op.Storage.
func (s *people) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client %s: %w", id, err)
	case s.provider.Stale.Load():
		return stale{c}, nil
	}
	return c, nil
}

// stale is a client whose ID tokens have already expired.
type stale struct{ op.Client }

// IDTokenLifetime implements op.Client.
func (stale) IDTokenLifetime() time.Duration { return -time.Minute }

// users are the two users.
type users struct{}

var _ storage.UserStore = users{}

// GetUserByID implements storage.UserStore.
func (users) GetUserByID(id string) *storage.User {
	if id != Ada && id != Bob {
		return nil
	}
	return &storage.User{ID: id, Username: id, Password: Password, FirstName: "Miss", LastName: id}
}

// GetUserByUsername implements storage.UserStore.
func (u users) GetUserByUsername(name string) *storage.User { return u.GetUserByID(name) }

// ExampleClientID implements storage.UserStore.
func (users) ExampleClientID() string { return storage.ServiceUserID }
