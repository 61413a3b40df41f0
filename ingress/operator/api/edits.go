package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/fault"
)

// maxEdit bounds the body of an edit in bytes: some hundred headers or addresses.
const maxEdit = 256 << 10

// Editor says what an edit would change in an email. It refuses one that does not fit
// the email with fault.RequestInvalid.
type Editor interface {
	Preview(ctx context.Context, email contract.Email, edit contract.Edit) (preview.Preview, error)
}

// edits shows what an edit would change.
type edits struct {
	finder
	editor Editor
}

// editRequest is the body of a preview.
type editRequest struct {
	Edit *contract.Edit `json:"edit"`
}

func (e *edits) preview(c *gin.Context) error {
	var in editRequest
	if err := readEdit(c, &in); err != nil {
		return err
	}
	email, _, err := e.find(c, fault.RequestInvalid)
	if err != nil {
		return err
	}
	shown, err := e.editor.Preview(c.Request.Context(), email.Email(), *in.Edit)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, shown)
	return nil
}

// readEdit reads the body of a request about an edit and never repeats what was sent.
func readEdit(c *gin.Context, in *editRequest) error {
	const is = `this is one JSON object with the field "edit", an object with some of the fields ` +
		`"to", "recipients", "headers", "charset", "drop" and "fields", and no others`
	err := readBody(c, in, bodyForm{Name: "an edit", Limit: maxEdit})
	if fault.Is(err, fault.RequestInvalid) || err == nil && in.Edit == nil {
		return fault.New(fault.RequestInvalid, is)
	}
	return err
}
