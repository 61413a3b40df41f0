package contract

// Verified says who vouched for an event at the door. A source that lets anybody
// post has the scheme none and Key 0; a zero Verified is not known.
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
}

// Routed says by which version of the rules an email was routed, and when.
type Routed struct {
	Rules       string `json:"rules,omitempty"`
	AtUnixMilli int64  `json:"at_unix_milli,omitempty"`
}
