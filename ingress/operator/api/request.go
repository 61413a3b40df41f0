package api

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// maxParameter bounds one parameter of a query in bytes.
const maxParameter = 1000

// caller returns the identity of the caller; the zero identity, which may do nothing,
// where it was not authenticated.
func caller(c *gin.Context) access.Identity { return access.From(c.Request.Context()) }

// tenantsOf returns the tenants whose mail the caller may see; nil means all.
func tenantsOf(c *gin.Context) []string {
	tenants, _ := caller(c).Tenants(access.Viewer)
	return tenants
}

// leastOf returns the least role of the route that is being answered.
func leastOf(c *gin.Context) access.Role { return access.RouteOf(c).Least }

// pathValue returns one decoded segment of the path.
func pathValue(c *gin.Context, name string) (string, error) {
	value, err := url.PathUnescape(c.Param(name))
	if err != nil || value == "" || len(value) > contract.MaxEventID || !access.Plain(value) {
		return "", fault.New(fault.NotFound, "there is no such email")
	}
	return value, nil
}

// parameters reads the query. A parameter that is unknown, repeated, too long or
// not plain text is refused: a mistyped filter must not show everything.
func parameters(c *gin.Context, allowed ...string) (map[string]string, error) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.RequestInvalid, "the query cannot be read")
	}

	out := make(map[string]string, len(query))
	for name, values := range query {
		switch {
		case len(allowed) == 0:
			return nil, fault.New(fault.RequestInvalid, "this takes no query")
		case !slices.Contains(allowed, name):
			return nil, fault.Newf(fault.RequestInvalid, "the query may only contain %v", allowed)
		case len(values) > 1:
			return nil, fault.Newf(fault.RequestInvalid, "%s was given more than once", name)
		case len(values[0]) > maxParameter || !access.Plain(values[0]):
			return nil, fault.Newf(fault.RequestInvalid, "%s must be at most %d bytes of printable UTF-8", name, maxParameter)
		}
		out[name] = values[0]
	}
	return out, nil
}

// limitOf reads the limit of a page of emails, batches or items.
func limitOf(text string) (int, error) {
	if text == "" {
		return ledger.DefaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > ledger.MaxLimit {
		return 0, fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxLimit)
	}
	return limit, nil
}
