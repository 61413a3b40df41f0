package console

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// destinationsPage lists where mail goes.
type destinationsPage struct {
	Destinations []destinationRow
	Name         string // of the destination whose form was refused
	Note         string
}

type destinationRow struct {
	operations.Destination
	MayPause bool // the caller may pause and resume it
}

func (c *Console) destinations(g *gin.Context) error {
	return c.showDestinations(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, "", "")
}

func (c *Console) showDestinations(g *gin.Context, status int, l layout, name, note string) error {
	ctx := g.Request.Context()
	who := access.From(ctx)
	list, err := c.deps.Operations.Destinations(ctx, seeing(who))
	if err != nil {
		return err
	}

	page := destinationsPage{Name: name, Note: note}
	for _, d := range list {
		page.Destinations = append(page.Destinations, destinationRow{d, c.deps.Operations.MayPause(who, d.Name)})
	}
	l.Title, l.Area, l.Live, l.Body = "Destinations", "destinations", "/events", page
	return c.render(g, status, "destinations", l)
}

// control pauses or resumes a destination.
func (c *Console) control(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}
	name, err := url.PathUnescape(g.Param("name"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such destination")
	}
	verb := g.Param("verb")
	if verb != "pause" && verb != "resume" {
		return fault.New(fault.NotFound, "a destination is paused or resumed")
	}
	note := unixLines(g.Request.PostForm.Get("note"))
	if problem := badNote(note); problem != "" {
		return c.showDestinations(g, http.StatusBadRequest, layout{Problem: problem}, name, note)
	}

	ctx := g.Request.Context()
	err = c.deps.Operations.SetPaused(ctx, access.From(ctx), contract.ViaConsole, name, verb == "pause", note)
	if err != nil {
		return c.showDestinations(g, access.Status(err), layout{Problem: fault.From(err).Public}, name, note)
	}
	c.live.nudge()
	g.Redirect(http.StatusSeeOther, "/destinations?done="+verb)
	return nil
}
