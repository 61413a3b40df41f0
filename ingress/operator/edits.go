package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/draft"
	"mailroom/shared/fault"
)

// maxEdit bounds the body of an edit in bytes: some hundred headers or addresses.
const maxEdit = 256 << 10

// Editor says what an edit would do to an email, and refuses one that makes no
// sense for it with fault.RequestInvalid.
type Editor interface {
	Preview(ctx context.Context, email contract.Email, edit contract.Edit) (draft.Preview, error)
}

// editRoutes are about what people lay over emails. An edit takes effect by a decision.
func (h *handler) editRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodPost, Path: "/api/v1/emails/:event_id/edits/preview", Least: access.Operator, Handle: h.previewEdit},
	}
}

// editRequest is the body of a preview.
type editRequest struct {
	Edit *contract.Edit `json:"edit"`
}

func (h *handler) previewEdit(c *gin.Context) error {
	var in editRequest
	if err := readEdit(c, &in); err != nil {
		return err
	}
	email, _, err := h.find(c, fault.RequestInvalid)
	if err != nil {
		return err
	}
	if h.editor == nil {
		return fault.New(fault.NotFound, "edits are not served here")
	}
	preview, err := h.editor.Preview(c.Request.Context(), email.Email(), *in.Edit)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, preview)
	return nil
}

// readEdit reads the body of a request about an edit and never repeats what was sent.
func readEdit(c *gin.Context, in *editRequest) error {
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.ContentTypeInvalid, "an edit is sent as application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxEdit))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(in)
	if err == nil {
		if _, trailing := decoder.Token(); !errors.Is(trailing, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Newf(fault.BodyTooLarge, "an edit has at most %d bytes", maxEdit)
	case err != nil || in.Edit == nil:
		return fault.New(fault.RequestInvalid, `this is one JSON object with the field "edit", an object with some of the fields `+
			`"to", "recipients", "headers", "charset", "drop" and "fields", and no others`)
	}
	return nil
}
