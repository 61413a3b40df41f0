package console

import (
	"maps"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
)

// tokenPages shows who may do what with a bearer token.
type tokenPages struct {
	*site
	service Tokens
}

type tokensPage struct{ Tokens []operations.Token }

// list shows the tokens that have a role in a tenant of which the caller is admin.
func (h *tokenPages) list(g *gin.Context) error {
	ctx := g.Request.Context()
	tenants, _ := access.From(ctx).Tenants(access.Admin)
	list, err := h.service.List(ctx, tenants)
	if err != nil {
		return err
	}
	return h.render(g, http.StatusOK, "tokens", layout{Title: "Tokens", Area: "tokens", Body: tokensPage{list}})
}

// roleIn is a role in a tenant; empty: in every one.
type roleIn struct{ Tenant, Role string }

// rolesIn sorts the roles of a token by tenant, the one in every tenant first.
func rolesIn(roles map[string]string) []roleIn {
	var out []roleIn
	for _, tenant := range slices.Sorted(maps.Keys(roles)) {
		in := roleIn{tenant, roles[tenant]}
		if tenant == access.Everywhere {
			in.Tenant = ""
		}
		out = append(out, in)
	}
	return out
}
