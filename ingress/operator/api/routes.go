package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/operations"
)

// maxSample bounds the body of a test of the rules in bytes.
const maxSample = 256 << 10

// routes lists the rules that route mail, and tries them.
type routes struct{ service *operations.Service }

func (r *routes) list(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	version, list := r.service.RouteRows(tenantsOf(c))
	c.JSON(http.StatusOK, map[string]any{"version": version, "routes": list})
	return nil
}

func (r *routes) test(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	var in operations.Sample
	if err := readBody(c, &in, requestOf(maxSample)); err != nil {
		return err
	}
	out, err := r.service.Test(c.Request.Context(), caller(c), in)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}
