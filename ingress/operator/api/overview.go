package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/operations"
)

// overview shows the numbers of the caller's tenants.
type overview struct{ service *operations.Service }

func (o *overview) show(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	numbers, err := o.service.Overview(c.Request.Context(), tenantsOf(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, numbers)
	return nil
}
