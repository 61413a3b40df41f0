package api

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// maxTokenRequest bounds the body of a request for a token in bytes.
const maxTokenRequest = 64 << 10

// tokenName is the form of a token's name. It has no @, which the name of every person
// from the OpenID provider has.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Tokens creates and revokes bearer tokens, and records that in the audit chain.
type Tokens interface {
	CreateToken(ctx context.Context, t ledger.Token, via string) error
	RevokeToken(ctx context.Context, name, by, via string, at time.Time) error
}

// tokens lists bearer tokens, and makes and revokes them. A new token may do anything
// anywhere, so only the admins of every tenant make and revoke them.
type tokens struct {
	access  *access.Authenticator
	shown   *operations.Tokens
	store   Tokens
	tenants []string // for which tokens can be made
	logger  *slog.Logger
	now     func() time.Time
}

// tokenRequest is the body of a request for a token.
type tokenRequest struct {
	Name string `json:"name"`
	// Owner is the person as which it counts where several have to approve; empty: the
	// caller's own.
	Owner string `json:"owner"`
	// Roles by tenant; "*" holds for every tenant.
	Roles     map[string]string `json:"roles"`
	ExpiresAt *time.Time        `json:"expires_at"` // null: never
}

// createdToken answers with the text of a token, which is never shown again.
type createdToken struct {
	Text string `json:"token"`
	ledger.Token
}

// list shows the tokens with a role in a tenant of which the caller is admin.
func (k *tokens) list(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	tenants, _ := caller(c).Tenants(access.Admin)
	list, err := k.shown.List(c.Request.Context(), tenants)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, map[string]any{"tokens": list})
	return nil
}

func (k *tokens) create(c *gin.Context) error {
	in, err := k.read(c)
	if err != nil {
		return err
	}
	text, sum := access.NewToken()
	t := ledger.Token{
		Name: in.Name, SHA256: sum, Roles: in.Roles, CreatedBy: caller(c).Name, Owner: in.Owner, CreatedAt: k.now().UTC().Truncate(time.Microsecond),
		ExpiresAt: in.ExpiresAt,
	}
	if err := k.store.CreateToken(c.Request.Context(), t, string(access.Via(c))); err != nil {
		return err
	}
	k.logger.Info("token.created", slog.String("name", t.Name), slog.String("owner", t.Owner), slog.String("actor", t.CreatedBy))
	c.JSON(http.StatusCreated, createdToken{Text: text, Token: t})
	return nil
}

func (k *tokens) revoke(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}

	missing := fault.New(fault.NotFound, "there is no token of this name")
	name, err := pathValue(c, "name")
	if err != nil {
		return missing
	}
	if k.access.Configured(name) {
		return fault.New(fault.DecisionRefused, "this token is part of the configuration: remove it there")
	}

	by := caller(c).Name
	if err := k.store.RevokeToken(c.Request.Context(), name, by, string(access.Via(c)), k.now()); err != nil {
		return err
	}

	k.access.Forget()
	k.logger.Info("token.revoked", slog.String("name", name), slog.String("actor", by))
	c.JSON(http.StatusOK, map[string]any{"ok": true, "name": name})
	return nil
}

// read reads and checks the body. It says what is wrong and never repeats
// what was sent.
func (k *tokens) read(c *gin.Context) (tokenRequest, error) {
	var in tokenRequest
	if _, err := parameters(c); err != nil {
		return in, err
	}

	if err := readBody(c, &in, bodyForm{
		Name: "the body", Limit: maxTokenRequest, Is: "is one JSON object of the documented fields and no others",
	}); err != nil {
		return in, err
	}

	switch {
	case !tokenName.MatchString(in.Name):
		return in, fault.New(fault.RequestInvalid,
			"name must be 1 to 63 letters, digits, dots, hyphens or underscores, the first a letter or digit")
	case contract.ReservedActor(in.Name):
		return in, fault.New(fault.RequestInvalid, "name is reserved for Mailroom itself: choose another")
	case len(in.Owner) > contract.MaxActor || !access.Plain(in.Owner) || contract.ReservedActor(in.Owner):
		return in, fault.Newf(fault.RequestInvalid,
			"owner must be at most %d bytes of printable text, and not a name that is reserved for Mailroom itself", contract.MaxActor)
	case k.access.Configured(in.Name):
		return in, fault.New(fault.RequestInvalid, "a token of the configuration has this name: choose another")
	case len(in.Roles) == 0:
		return in, fault.New(fault.RequestInvalid, `roles must name a role for each tenant; "*" is every tenant`)
	case in.ExpiresAt != nil && !k.now().Before(*in.ExpiresAt):
		return in, fault.New(fault.RequestInvalid, "expires_at is in the past")
	}

	if in.Owner = strings.TrimSpace(in.Owner); in.Owner == "" {
		in.Owner = caller(c).Person
	}

	for tenant, role := range in.Roles {
		if access.ParseRole(role) == access.NoRole {
			return in, fault.New(fault.RequestInvalid, "a role must be viewer, operator or admin")
		}
		if tenant != access.Everywhere && !slices.Contains(k.tenants, tenant) {
			return in, fault.New(fault.RequestInvalid, "roles names a tenant that is not configured")
		}
	}

	return in, nil
}
