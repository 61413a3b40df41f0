package webhook

import (
	"crypto/rand"
	"encoding/hex"
	"mime"
	"net/http"
	"strings"

	"mailroom/ingress/source"
	"mailroom/shared/fault"
)

const maxCorrelationID = 128

// checkHeaders refuses what the headers already rule out, before a byte of the body is
// read. It returns the content encoding, empty for none.
func checkHeaders(r *http.Request, src *source.Source) (encoding string, err error) {
	if !isJSON(r.Header.Values("Content-Type")) {
		return "", fault.New(fault.ContentTypeInvalid, "the content type must be application/json in UTF-8")
	}
	if encoding, err = contentCoding(r.Header, src.Encodings); err != nil {
		return "", err
	}
	if r.ContentLength > src.MaxBody {
		return "", tooLarge(src.MaxBody)
	}
	return encoding, nil
}

// isJSON reports whether the Content-Type is application/json, once, with at most
// charset=utf-8.
func isJSON(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(lines[0])
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// correlationID returns the sender's correlation id if it is valid, else a new one.
func correlationID(h http.Header) string {
	if lines := h.Values(correlationHeader); len(lines) == 1 && isCorrelationID(lines[0]) {
		return lines[0]
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func isCorrelationID(text string) bool {
	if len(text) == 0 || len(text) > maxCorrelationID {
		return false
	}
	for i := range len(text) {
		if text[i] < '!' || text[i] > '~' {
			return false
		}
	}
	return true
}
