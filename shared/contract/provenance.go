package contract

// Verified says what vouched for an event in the ingress. An event of a source without
// authentication has the scheme none and Key 0; a zero Verified is not known.
type Verified struct {
	Scheme string `json:"scheme,omitempty"`
	// Key is the number of the secret in its source's list, from 1, and Ref the
	// reference by which the configuration names it, never anything of the secret.
	Key int    `json:"key,omitempty"`
	Ref string `json:"ref,omitempty"`
}

// Inspected says with what an email was inspected, and when.
type Inspected struct {
	Scanner     string `json:"scanner,omitempty"`
	Database    string `json:"database,omitempty"`
	AtUnixMilli int64  `json:"at_unix_milli,omitempty"`
	// RawView is what came of the raw mail; empty: from before it was scanned.
	RawView RawView `json:"raw_view,omitempty"`
	// Content is the hex SHA-256 of what was inspected (edit.Judged). A delivery of
	// anything else is refused. Empty: not known.
	Content string `json:"content,omitempty"`
}

// RawView says what came of scanning the raw mail as a whole, beside each of its
// parts: the scanner's verdict on it (mail.Verdict), or why there is none.
type RawView string

// The raw views without a verdict: the parts alone were scanned.
const (
	RawAbsent   RawView = "absent"    // the event came without the raw mail
	RawTooLarge RawView = "too_large" // it is larger than the scanner takes, and the parser noted no defect
)

// Routed says by which version of the rules an email was routed, and when.
type Routed struct {
	Rules       string `json:"rules,omitempty"`
	AtUnixMilli int64  `json:"at_unix_milli,omitempty"`
}
