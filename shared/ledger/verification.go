package ledger

import "time"

// VerificationFailure counts the checks of a source that failed for one cause,
// from one address, within one hour. It holds nothing that the requests claimed.
type VerificationFailure struct {
	// Hour is when the hour of these failures began, in UTC.
	Hour   time.Time `json:"hour"`
	Source string    `json:"-"`
	// Scheme is "none" where the request named none that the source knows.
	Scheme string `json:"scheme"`
	// Code is the fault.Code that the requests were answered with.
	Code string `json:"code"`
	// Address is the client's, whole, IPv6 as well; empty for all the addresses
	// together that came after the hour's bound was reached.
	Address string    `json:"address"`
	Count   int64     `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// Bounds of a list of failed verifications.
const (
	DefaultFailures = 100
	MaxFailures     = 1000
)

// FailureFilter chooses failed verifications of one source.
type FailureFilter struct {
	Source string
	// Since leaves out what happened for the last time before it.
	Since time.Time
	// Limit is DefaultFailures when zero and never more than MaxFailures and one,
	// by which a caller sees that there are more.
	Limit int
}

// SecretUse is when a secret of a source, by its reference and scheme, last verified a
// request. Both are empty for a source that verifies nothing.
type SecretUse struct {
	Source string
	Ref    string
	Scheme string
	UsedAt time.Time
}
