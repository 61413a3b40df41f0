package source

import (
	"net/http"

	"mailroom/shared/fault"
)

// Answers is what each failure answers. Providers differ in which statuses they
// send again and which end the mail, so that each profile has its own table.
type Answers map[fault.Code]int

// Status gives the status of code; one without a row answers 500, which every
// provider sends again.
func (a Answers) Status(code fault.Code) int {
	if status, ok := a[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// MailParse is the table of the profile mailparse: 4xx where sending the same
// bytes again cannot help, 503 where time may. It is also the table of requests
// that belong to no source. The caller must not change it.
func MailParse() Answers { return mailParse }

var mailParse = Answers{
	fault.SignatureMissing: http.StatusUnauthorized,
	fault.SignatureInvalid: http.StatusUnauthorized,
	fault.TimestampMissing: http.StatusUnauthorized,
	fault.TimestampInvalid: http.StatusUnauthorized,
	fault.TimestampStale:   http.StatusUnauthorized,

	fault.BodyTooLarge:       http.StatusRequestEntityTooLarge,
	fault.ContentTypeInvalid: http.StatusUnsupportedMediaType,
	fault.EncodingRefused:    http.StatusUnsupportedMediaType,
	fault.MethodNotAllowed:   http.StatusMethodNotAllowed,
	fault.NotFound:           http.StatusNotFound,

	fault.JSONMalformed:  http.StatusBadRequest,
	fault.EventIDMissing: http.StatusBadRequest,
	fault.EventIDInvalid: http.StatusBadRequest,
	fault.FieldInvalid:   http.StatusBadRequest,
	fault.FieldUnknown:   http.StatusBadRequest,

	fault.Unauthorized:    http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.RequestInvalid:  http.StatusBadRequest,
	fault.DecisionRefused: http.StatusConflict,

	fault.BodyIncomplete:        http.StatusServiceUnavailable, // the network's fault: the same bytes may come whole next time
	fault.Overloaded:            http.StatusServiceUnavailable,
	fault.StorageUnavailable:    http.StatusServiceUnavailable,
	fault.TemporalUnavailable:   http.StatusServiceUnavailable,
	fault.ScannerUnavailable:    http.StatusServiceUnavailable,
	fault.DownstreamUnavailable: http.StatusServiceUnavailable,
	fault.BreakerOpen:           http.StatusServiceUnavailable,
	fault.Internal:              http.StatusInternalServerError,

	// Not met at the door; should one come up, the provider sends again.
	fault.DownstreamRejected: http.StatusInternalServerError,
	fault.DownstreamGone:     http.StatusInternalServerError,
	fault.AmbiguousEffect:    http.StatusInternalServerError,
	fault.ContentLost:        http.StatusInternalServerError,
	fault.ConfigInvalid:      http.StatusInternalServerError,
}

// profiles are the provider profiles by the name that the configuration uses.
var profiles = map[string]Answers{
	"mailparse": mailParse,
}
