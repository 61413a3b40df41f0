package console

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/microcosm-cc/bluemonday"

	"mailroom/shared/fault"
)

// frameStyle is the whole style of the frame. The policy names it by its hash, so that
// no style of a mail applies. Mail is written for a white background.
const frameStyle = `:root{color-scheme:light}body{margin:0;padding:16px;background:#fff;color:#1b2330;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}` +
	`img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}blockquote{margin:0 0 0 8px;padding-left:12px;border-left:3px solid #cfd6e0}a{color:#1d4fb8}` +
	`.notice{margin:0 0 16px;padding:8px 12px;background:#eef2f8;border-radius:6px;font-size:13px}`

// frame renders the HTML of a mail as a document of its own.
type frame struct {
	policy *bluemonday.Policy
	header string
}

func newFrame() frame {
	sum := sha256.Sum256([]byte(frameStyle))
	return frame{
		policy: mailPolicy(),
		// sandbox is set here as well, so that the document is as harmless outside the
		// frame.
		header: "sandbox; default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; " +
			"form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
	}
}

// html answers with the HTML of an email, cleaned.
func (h *emailPages) html(g *gin.Context) error {
	email, err := h.find(g)
	if err != nil {
		return err
	}

	content, err := h.content(g.Request.Context(), email)
	if err != nil {
		return err
	}
	if content.Message == nil || content.Message.HTML == "" {
		return fault.New(fault.NotFound, "this email has no HTML")
	}

	clean := h.frame.clean(content.Message.HTML, h.pictures(g.Request.Context(), email))
	var notices []string
	if clean.Cut {
		notices = append(notices, "Only the beginning of this mail is shown; the raw source has all of it.")
	}
	if clean.Flat {
		notices = append(notices, "This mail nests its parts deeper than any mail should; they are shown flat.")
	}
	if clean.Blocked > 0 {
		notices = append(notices, plural(clean.Blocked, "image was", "images were")+" left out: only clean images inside the mail are shown.")
	}

	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="und"><head><meta charset="utf-8"><title>Mail</title><style>` + frameStyle + `</style></head><body>`)
	if len(notices) > 0 {
		b.WriteString(`<p class="notice" lang="en">` + template.HTMLEscapeString(strings.Join(notices, " ")) + `</p>`)
	}

	b.WriteString(clean.HTML + `</body></html>`)
	header := g.Writer.Header()
	header.Set("Content-Security-Policy", h.frame.header)
	header.Set("X-Frame-Options", "SAMEORIGIN")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	g.Data(http.StatusOK, "text/html; charset=utf-8", []byte(b.String()))
	return nil
}
