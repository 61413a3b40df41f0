package source

import (
	"net/http"

	"mailroom/shared/fault"
)

// Accepted is the status for an accepted event and for a duplicate: 200, because it is
// the only one that every provider counts as success (Postmark counts no other).
const Accepted = http.StatusOK

// kept marks a failure that is answered as a success: the event is accepted and held for
// an operator, because the provider would otherwise drop the mail or disable the endpoint.
const kept = Accepted

// The columns of the table, one per family of providers that react to statuses in the
// same way. Resend and MailKite belong to standardWebhooks.
const (
	mailparse = iota
	standardWebhooks
	mailgun
	postmark
	sendgrid
	ses
	cloudmailin
	columns
)

// families maps the names in the configuration to columns.
var families = map[string]int{
	"mailparse": mailparse, "standard-webhooks": standardWebhooks, "mailgun": mailgun, "postmark": postmark,
	"sendgrid": sendgrid, "ses": ses, "cloudmailin": cloudmailin,
}

// profiles maps each provider profile to its answers when the configuration names none.
var profiles = map[string]string{
	"mailparse":         "mailparse",
	"standard-webhooks": "standard-webhooks",
}

// row is the answers to the codes of one situation, one per column.
type row struct {
	codes   []fault.Code
	answers [columns]int
}

// table is the only place that maps the failure of a webhook request to an HTTP status.
// It rests on what each provider does with an answer:
//   - mailparse: a 2xx ends delivery. Its documents contradict each other about 4xx, so
//     temporary failures are never answered with one, not even 429.
//   - standard-webhooks: retries after anything but 2xx, more slowly after 429; 410
//     disables the endpoint. So would a body that can never be parsed, in time.
//   - mailgun: 200 ends delivery, 406 rejects, anything else is retried for 8 h.
//   - postmark: 200 ends delivery, 403 stops it, anything else is retried for 10.5 h.
//   - sendgrid: 5xx is retried for 72 h, 4xx drops the mail without a notice.
//   - ses: 5xx is retried three times, 4xx ends delivery or leads to the dead-letter queue.
//   - cloudmailin: the sender's SMTP transaction waits: 4xx bounces to the sender,
//     5xx makes the sender's server retry for days.
//
// A request that is refused before it is authentic may still be mail from a provider
// whose address, key or encoding has changed. Where a 4xx would lose it, the answer is a
// 5xx.
var table = []row{
	// Not authentic:                                              mailparse, standard, mailgun, postmark, sendgrid, ses, cloudmailin
	{of(fault.SignatureMissing, fault.CredentialsMissing), [columns]int{401, 401, 406, 403, 401, 403, 401}},
	{of(fault.TimestampMissing, fault.TimestampInvalid), [columns]int{401, 401, 406, 403, 401, 403, 401}},
	{of(fault.SignatureInvalid, fault.CredentialsInvalid), [columns]int{401, 401, 406, 403, 401, 403, 503}}, // a key may be rotating
	{of(fault.TimestampStale), [columns]int{401, 401, 406, 403, 503, 403, 503}},                             // a retry is signed anew

	// Refused before the body is read, or while it is read:
	{of(fault.SourceDisabled), [columns]int{410, 410, 406, 403, 503, 403, 503}},
	{of(fault.AddressRefused, fault.TLSRequired), [columns]int{403, 403, 403, 503, 503, 503, 503}},
	{of(fault.ContentTypeInvalid, fault.EncodingRefused), [columns]int{415, 415, 415, 415, 503, 503, 503}},
	{of(fault.BodyTooLarge), [columns]int{413, 413, 406, 403, 503, 503, 413}},
	{of(fault.MethodNotAllowed), [columns]int{405, 405, 405, 405, 405, 405, 405}}, // no provider sends mail in this way
	{of(fault.NotFound), [columns]int{404, 404, 404, 404, 404, 404, 404}},

	// Authentic, and malformed:
	{of(fault.JSONMalformed, fault.EventIDMissing, fault.EventIDInvalid, fault.FieldInvalid, fault.FieldUnknown),
		[columns]int{400, kept, kept, kept, kept, kept, kept}},

	// Overloaded:
	{of(fault.Overloaded, fault.RateLimited, fault.Throttled, fault.InboxFull), [columns]int{503, 429, 503, 503, 503, 503, 503}},

	// Incomplete, or a dependency is unavailable:
	{of(fault.BodyIncomplete), [columns]int{503, 503, 503, 503, 503, 503, 503}},
	{of(fault.StorageUnavailable, fault.TemporalUnavailable, fault.ScannerUnavailable, fault.DownstreamUnavailable, fault.BreakerOpen,
		fault.DestinationPaused),
		[columns]int{503, 503, 503, 503, 503, 503, 503}},
	{of(fault.Internal), [columns]int{500, 500, 500, 500, 500, 500, 500}},

	// Not expected in the ingress; if one occurs, the provider retries:
	{of(fault.DownstreamRejected, fault.DownstreamGone, fault.AmbiguousEffect, fault.ContentLost, fault.NotReleased, fault.ConfigInvalid),
		[columns]int{500, 500, 500, 500, 500, 500, 500}},
}

// of returns its arguments; it keeps the rows short.
func of(codes ...fault.Code) []fault.Code { return codes }

// Answers maps the code of a failure to the HTTP status of the answer.
type Answers map[fault.Code]int

// Status returns the status for code. A code without a row is answered with 500, which
// every provider retries.
func (a Answers) Status(code fault.Code) int {
	if status, ok := a[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Keeps reports whether an event that failed with code is accepted nevertheless, and held
// for an operator.
func (a Answers) Keeps(code fault.Code) bool { return a.Status(code) == kept }

// column returns one family's answers from the table.
func column(family int) Answers {
	out := Answers{}
	for _, r := range table {
		for _, code := range r.codes {
			out[code] = r.answers[family]
		}
	}
	return out
}

// WithoutSource returns the answers to requests on a path of no source, which contain no
// mail. The caller must not change the result.
func WithoutSource() Answers { return withoutSource }

var withoutSource = Answers{
	fault.NotFound:         http.StatusNotFound,
	fault.MethodNotAllowed: http.StatusMethodNotAllowed,
	fault.TLSRequired:      http.StatusForbidden,
	fault.AddressRefused:   http.StatusForbidden,
	fault.BodyTooLarge:     http.StatusRequestEntityTooLarge,
	fault.Overloaded:       http.StatusServiceUnavailable,
	fault.RateLimited:      http.StatusTooManyRequests,
	fault.Throttled:        http.StatusTooManyRequests,
	fault.Internal:         http.StatusInternalServerError,
}
