package source

import (
	"net/http"

	"mailroom/shared/fault"
)

// Accepted is what an accepted event answers, and a duplicate: the one status that
// every provider counts as success, because Postmark counts no other.
const Accepted = http.StatusOK

// kept is a failure that is answered as a success: the event is accepted and held
// for a person, because this provider would drop the mail or give up on it.
const kept = Accepted

// The columns of the table, one for each family of providers that treats statuses
// alike. Resend and MailKite are in the one of Standard Webhooks.
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

// families names the columns as the configuration does.
var families = map[string]int{
	"mailparse": mailparse, "standard-webhooks": standardWebhooks, "mailgun": mailgun, "postmark": postmark,
	"sendgrid": sendgrid, "ses": ses, "cloudmailin": cloudmailin,
}

// profiles are the provider profiles and the answers that each has when the
// configuration names none.
var profiles = map[string]string{
	"mailparse":         "mailparse",
	"standard-webhooks": "standard-webhooks",
}

// row is what the codes of one situation answer, column by column.
type row struct {
	codes   []fault.Code
	answers [columns]int
}

// table is the only place that turns what a source's request met into a status.
// What the columns rest on:
//   - mailparse: a 2xx ends it. Its documents contradict each other about 4xx, so
//     that what time may cure is never one, 429 included.
//   - standard-webhooks: all but 2xx is sent again, 429 slower; 410 disables the
//     endpoint. A body that will never be readable would get it disabled as well.
//   - mailgun: 200 ends it, 406 rejects, everything else is sent again for 8 h.
//   - postmark: 200 ends it, 403 stops, everything else is sent again for 10.5 h.
//   - sendgrid: 5xx is sent again for 72 h, 4xx drops the mail and tells nobody.
//   - ses: 5xx is sent again three times, 4xx ends it or goes to the dead-letter queue.
//   - cloudmailin: the sender's SMTP transaction waits: 4xx bounces to the sender,
//     5xx makes its server try again for days.
//
// A request that was refused before it was authentic may still be mail, of a
// sender whose address, key or encoding has changed: where a 4xx loses that, it
// gets a 5xx.
var table = []row{
	// Not authentic:                                              mailparse, standard, mailgun, postmark, sendgrid, ses, cloudmailin
	{of(fault.SignatureMissing, fault.CredentialsMissing), [columns]int{401, 401, 406, 403, 401, 403, 401}},
	{of(fault.TimestampMissing, fault.TimestampInvalid), [columns]int{401, 401, 406, 403, 401, 403, 401}},
	{of(fault.SignatureInvalid, fault.CredentialsInvalid), [columns]int{401, 401, 406, 403, 401, 403, 503}}, // a key may be rotating
	{of(fault.TimestampStale), [columns]int{401, 401, 406, 403, 503, 403, 503}},                             // sent again, it is signed anew

	// Not let in:
	{of(fault.SourceDisabled), [columns]int{410, 410, 406, 403, 503, 403, 503}},
	{of(fault.AddressRefused, fault.TLSRequired), [columns]int{403, 403, 403, 503, 503, 503, 503}},
	{of(fault.ContentTypeInvalid, fault.EncodingRefused), [columns]int{415, 415, 415, 415, 503, 503, 503}},
	{of(fault.BodyTooLarge), [columns]int{413, 413, 406, 403, 503, 503, 413}},
	{of(fault.MethodNotAllowed), [columns]int{405, 405, 405, 405, 405, 405, 405}}, // no provider's mail comes this way
	{of(fault.NotFound), [columns]int{404, 404, 404, 404, 404, 404, 404}},

	// Authentic, and not readable:
	{of(fault.JSONMalformed, fault.EventIDMissing, fault.EventIDInvalid, fault.FieldInvalid, fault.FieldUnknown),
		[columns]int{400, kept, kept, kept, kept, kept, kept}},

	// Too much at the moment:
	{of(fault.Overloaded, fault.RateLimited, fault.Throttled, fault.InboxFull), [columns]int{503, 429, 503, 503, 503, 503, 503}},

	// Broken off, or something is away:
	{of(fault.BodyIncomplete), [columns]int{503, 503, 503, 503, 503, 503, 503}},
	{of(fault.StorageUnavailable, fault.TemporalUnavailable, fault.ScannerUnavailable, fault.DownstreamUnavailable, fault.BreakerOpen,
		fault.DestinationPaused),
		[columns]int{503, 503, 503, 503, 503, 503, 503}},
	{of(fault.Internal), [columns]int{500, 500, 500, 500, 500, 500, 500}},

	// Not met at the door; should one come up, the provider sends again:
	{of(fault.DownstreamRejected, fault.DownstreamGone, fault.AmbiguousEffect, fault.ContentLost, fault.NotReleased, fault.ConfigInvalid),
		[columns]int{500, 500, 500, 500, 500, 500, 500}},
}

func of(codes ...fault.Code) []fault.Code { return codes }

// Answers is what each failure answers.
type Answers map[fault.Code]int

// Status gives the status of code; one without a row answers 500, which every
// provider sends again.
func (a Answers) Status(code fault.Code) int {
	if status, ok := a[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Keeps reports whether an event that failed with code is accepted all the same
// and held for a person.
func (a Answers) Keeps(code fault.Code) bool { return a.Status(code) == kept }

// column cuts one family's answers out of the table.
func column(family int) Answers {
	out := Answers{}
	for _, r := range table {
		for _, code := range r.codes {
			out[code] = r.answers[family]
		}
	}
	return out
}

// Nobodys are the answers of requests that belong to no source. Nobody's mail is
// in them. The caller must not change it.
func Nobodys() Answers { return nobodys }

var nobodys = Answers{
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
