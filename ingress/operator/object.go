package operator

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// readObject reads the body, one JSON object of at most limit bytes with no fields
// but those of out. It never repeats what was sent.
func readObject(c *gin.Context, out any, limit int64) error {
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.ContentTypeInvalid, "the request is sent as application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
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
		return fault.Newf(fault.BodyTooLarge, "the request has at most %d bytes", limit)
	case err != nil:
		return fault.New(fault.RequestInvalid, "the request is one JSON object with the documented fields and no others")
	}
	return nil
}
