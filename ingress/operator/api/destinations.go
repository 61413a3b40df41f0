package api

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// destinations lists destinations, pauses and resumes them.
type destinations struct{ service *operations.Service }

func (d *destinations) list(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	list, err := d.service.Destinations(c.Request.Context(), tenantsOf(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, map[string]any{"destinations": list})
	return nil
}

func (d *destinations) pause(c *gin.Context) error  { return d.setPaused(c, true) }
func (d *destinations) resume(c *gin.Context) error { return d.setPaused(c, false) }

// pauseRequest is the body of a pause and of a resume.
type pauseRequest struct {
	Note string `json:"note"`
}

func (d *destinations) setPaused(c *gin.Context, paused bool) error {
	name, err := url.PathUnescape(c.Param("name"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such destination")
	}
	if _, err := parameters(c); err != nil {
		return err
	}
	var in pauseRequest
	if err := readBody(c, &in, requestOf(6*contract.MaxNote+1024)); err != nil {
		return err
	}

	if err := d.service.SetPaused(c.Request.Context(), caller(c), access.Via(c), name, paused, in.Note); err != nil {
		return err
	}
	c.JSON(http.StatusOK, map[string]any{"ok": true, "destination": name, "paused": paused})
	return nil
}
