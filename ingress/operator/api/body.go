package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// bodyForm is what the body of a request must be.
type bodyForm struct {
	Name  string // of what is sent, such as "a decision"; begins a sentence
	Limit int64  // of the body in bytes
	// Is ends the sentence about a body of another form, which Name begins.
	Is string
}

// requestOf is the form of a request that needs no better name.
func requestOf(limit int64) bodyForm {
	return bodyForm{Name: "the request", Limit: limit, Is: "is one JSON object with the documented fields and no others"}
}

// readBody reads one JSON object into out. A field that is not known is refused, because
// a mistyped one must not be passed over, and no refusal repeats what was sent. It fails
// with content_type_invalid, body_too_large or request_invalid.
func readBody(c *gin.Context, out any, f bodyForm) error {
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.ContentTypeInvalid, f.Name+" is sent as application/json")
	}

	decoder := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, f.Limit))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(out)
	if err == nil {
		if _, trailing := decoder.Token(); !errors.Is(trailing, io.EOF) {
			err = errors.New("more than one value")
		}
	}

	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Newf(fault.BodyTooLarge, "%s has at most %d bytes", f.Name, f.Limit)
	case err != nil:
		return fault.New(fault.RequestInvalid, f.Name+" "+f.Is)
	}

	return nil
}
