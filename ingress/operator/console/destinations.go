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

// destinationPages lists destinations, pauses and resumes them.
type destinationPages struct {
	*site
	service Destinations
}

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

func (h *destinationPages) list(g *gin.Context) error {
	return h.show(g, http.StatusOK, layout{Notice: notices[g.Query("done")]}, "", "")
}

func (h *destinationPages) show(g *gin.Context, status int, l layout, name, note string) error {
	ctx := g.Request.Context()
	who := access.From(ctx)
	list, err := h.service.Destinations(ctx, seeing(who))
	if err != nil {
		return err
	}

	page := destinationsPage{Name: name, Note: note}
	for _, d := range list {
		page.Destinations = append(page.Destinations, destinationRow{d, h.service.MayPause(who, d.Name)})
	}
	l.Title, l.Area, l.Live, l.Body = "Destinations", "destinations", "/events", page
	return h.render(g, status, "destinations", l)
}

// control pauses or resumes a destination.
func (h *destinationPages) control(g *gin.Context) error {
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
		return h.show(g, http.StatusBadRequest, layout{Problem: problem}, name, note)
	}

	ctx := g.Request.Context()
	err = h.service.SetPaused(ctx, access.From(ctx), contract.ViaConsole, name, verb == "pause", note)
	if err != nil {
		return h.show(g, access.Status(err), layout{Problem: fault.From(err).Public}, name, note)
	}
	h.live.nudge()
	g.Redirect(http.StatusSeeOther, "/destinations?done="+verb)
	return nil
}
