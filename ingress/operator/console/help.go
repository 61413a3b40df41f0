package console

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"

	"mailroom/deploy/docs"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// helpPages shows the manual of this build: the server may reach no other.
type helpPages struct {
	*site
	markdown goldmark.Markdown
}

func newHelpPages(s *site) *helpPages {
	return &helpPages{site: s, markdown: goldmark.New(
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone))),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(manual{}, 1000))),
		goldmark.WithRendererOptions(html.WithXHTML()),
	)}
}

// helpPage is a page of the manual as HTML.
type helpPage struct{ Text template.HTML }

// page renders a page of the manual. The Markdown is part of this program and goldmark
// renders no HTML that is in it.
func (h *helpPages) page(g *gin.Context) error {
	name, err := url.PathUnescape(g.Param("page"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such page of the manual")
	}
	text, err := docs.Pages.ReadFile(name + ".md")
	if err != nil {
		return fault.New(fault.NotFound, "there is no such page of the manual")
	}

	var out bytes.Buffer
	ids := parser.NewContext(parser.WithIDs(anchors{}))
	if err := h.markdown.Convert(text, &out, parser.WithContext(ids)); err != nil {
		return fault.Wrap(fault.Internal, "the page of the manual could not be rendered", err)
	}
	return h.render(g, http.StatusOK, "help", layout{
		Title: "Help", Area: helpArea, Help: "runbook#by-symptom",
		Body: helpPage{Text: template.HTML(out.String())}, //nolint:gosec // G203: see above
	})
}

// helpArea is the area of the manual's own pages.
const helpArea = "help"

// helpOf is the section of the manual that fits the pages of an area.
var helpOf = map[string]string{
	"overview":     "runbook#by-symptom",
	"inbox":        "runbook#what-a-decision-does",
	"emails":       "runbook#accepted-and-not-in-the-list",
	"destinations": "runbook#retrying-for-a-day",
	"routes":       "rules#try-the-rules",
	"replays":      "replay",
	"sources":      "webhooks#secrets",
	"tokens":       "access#tokens",
	"audit":        "audit",
}

// helpAboutReason returns the section about a reason; without one, nothing.
func helpAboutReason(r contract.Reason) string {
	if r == "" {
		return ""
	}
	return "runbook#" + string(r)
}

// helpAbout returns the section that fits the state of an email.
func helpAbout(e *ledger.EmailRow) string {
	switch e.State {
	case contract.Quarantined:
		return helpAboutReason(e.Reason)
	case contract.Retrying:
		return "runbook#retrying-for-a-day"
	case contract.Processing:
		return "runbook#processing-for-an-hour"
	}
	return "runbook#by-symptom"
}
