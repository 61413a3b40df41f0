package access

import (
	"net/http"

	"mailroom/shared/fault"
)

// Status returns the HTTP status of a failure in the API and on pages. It is 500 for codes
// that do not occur there, and for errors that are no fault.
func Status(err error) int {
	switch fault.From(err).Code {
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RequestInvalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.DecisionRefused:
		return http.StatusConflict
	case fault.ContentLost:
		return http.StatusGone
	case fault.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.ContentTypeInvalid:
		return http.StatusUnsupportedMediaType
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.QueryTimeout:
		return http.StatusGatewayTimeout
	case fault.Overloaded, fault.StorageUnavailable, fault.TemporalUnavailable, fault.ScannerUnavailable,
		fault.DownstreamUnavailable, fault.BreakerOpen, fault.DestinationPaused:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
