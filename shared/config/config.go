// Package config reads the configuration: one YAML file that says what to do with mail
// (File), and the environment, which says where the dependencies are (Env).
//
// Invariants: both are read once, by main; the file is checked against a JSON Schema and
// every mistake is named with its path; the file has only references to secrets, each
// role resolves its own, and they are Secret values, which print as "[redacted]".
package config

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/secret"
)

// Secret is a value that never prints itself; shared/secret keeps it fresh.
type Secret = secret.Secret

// NewSecret wraps text.
func NewSecret(text string) Secret { return secret.New(text) }

// File is the configuration file.
type File struct {
	Sources      []Source      `yaml:"sources"`
	Tenants      []Tenant      `yaml:"tenants"`
	Destinations []Destination `yaml:"destinations"`
	Routes       []Route       `yaml:"routes"`
	// Unmatched says what to do with mail of which a rule takes one recipient and none
	// takes another: UnmatchedNote (the default) or UnmatchedHold.
	Unmatched   string        `yaml:"unmatched"`
	Attachments Attachments   `yaml:"attachments"`
	Scanner     Scanner       `yaml:"scanner"`
	Operators   []Operator    `yaml:"operators"`
	Operator    OperatorPages `yaml:"operator"`
	Retry       Retry         `yaml:"retry"`
	Ingress     Ingress       `yaml:"ingress"`
	Encryption  Encryption    `yaml:"encryption"`
	Access      Access        `yaml:"access"`
	Holds       Holds         `yaml:"holds"`
	// Approvals says how many people have to approve a hold, by its reason; one where
	// nothing is said.
	Approvals map[contract.Reason]int `yaml:"approvals"`
	Discard   Discard                 `yaml:"discard"`
	Secrets   Secrets                 `yaml:"secrets"`

	text places `yaml:"-"` // where its mistakes are
}

// Secrets configures secrets that are gone.
type Secrets struct {
	// Grace is how long a secret still verifies requests and operators after its store has
	// answered that it does not exist; default 24h, 1m to 720h.
	Grace time.Duration `yaml:"grace"`
}

// Source is one webhook endpoint and how its requests are authenticated.
type Source struct {
	Name      string        `yaml:"name"`
	Path      string        `yaml:"path"`
	Profile   string        `yaml:"profile"`
	Schemes   []string      `yaml:"schemes"`
	Secrets   []KeyRef      `yaml:"secrets"`
	Tolerance time.Duration `yaml:"tolerance"` // both ways; default 5m
	MaxBody   Bytes         `yaml:"max_body"`  // default 25MiB
	Tenant    string        `yaml:"tenant"`
	Strict    bool          `yaml:"strict"` // refuse fields that the shape does not name
	// Answers names the answer table; default: that of the profile.
	Answers string `yaml:"answers"`
	// SignatureHeader is the header of the scheme timestamp-hmac-header; default X-Signature.
	SignatureHeader string `yaml:"signature_header"`
	// SignatureVersions lists the versions of signatures that count; empty: all
	// that the source's schemes know.
	SignatureVersions []string `yaml:"signature_versions"`
	// Insecure must be set with the scheme none, which accepts requests from any caller.
	Insecure bool `yaml:"insecure"`
	// AllowFrom lists the networks (CIDR) that may post; empty: every address.
	AllowFrom []string `yaml:"allow_from"`
	// Encodings lists the content encodings that are accepted; empty: none but identity.
	Encodings []string    `yaml:"encodings"`
	Limit     SourceLimit `yaml:"limit"`
	Disabled  bool        `yaml:"disabled"` // refuse every request
}

// SourceLimit bounds what one source may send to one ingress; zero fields do not.
type SourceLimit struct {
	Rate     int `yaml:"rate"`      // requests per second
	Burst    int `yaml:"burst"`     // above Rate at once; default Rate
	InFlight int `yaml:"in_flight"` // requests at the same time
}

// KeyRef is one secret of a source by reference. Key is filled when the
// reference is resolved.
type KeyRef struct {
	Ref     string    `yaml:"ref"`
	Expires time.Time `yaml:"expires"` // zero: never
	Scheme  string    `yaml:"scheme"`  // empty: every scheme of the source
	Key     Secret    `yaml:"-"`
	Place   int       `yaml:"-"` // in the list as it is written, from 1; others may have been dropped
}

// KeyNumber is what logs and metrics call the secret at index i: its place in the
// configuration, from 1.
func (s Source) KeyNumber(i int) int {
	if place := s.Secrets[i].Place; place > 0 {
		return place
	}
	return i + 1
}

// Tenant owns mail by its domains. Without domains it owns every recipient.
type Tenant struct {
	Name    string   `yaml:"name"`
	Domains []string `yaml:"domains"`
	// CaseSensitive makes rules compare the local parts of its recipients, and their
	// tags, in their own case.
	CaseSensitive bool `yaml:"case_sensitive"`
}

// DefaultMaxInFlight is how many calls of one worker a destination has at once where
// the file says nothing.
const DefaultMaxInFlight = 32

// Destination is one downstream system.
type Destination struct {
	Name string `yaml:"name"`
	// Tenants are those whose mail may go there. Default: the tenants whose rules
	// name the destination, or the only tenant where just one is configured.
	Tenants      []string      `yaml:"tenants"`
	URL          string        `yaml:"url"`
	Secret       KeyRef        `yaml:"secret"`
	AllowPrivate bool          `yaml:"allow_private"` // loopback and private addresses may be called
	Timeout      time.Duration `yaml:"timeout"`       // one attempt, from dial to the end of the answer; default 10s, at most 2m
	MaxInFlight  int           `yaml:"max_in_flight"` // per worker process; default 32
	// Idempotent is whether the destination honours Idempotency-Key; default
	// true. Where it does not, an attempt whose effect is unknown is held and not repeated.
	Idempotent *bool   `yaml:"idempotent"`
	Breaker    Breaker `yaml:"breaker"`
}

// HonoursKey reports whether a repeat with the same key has no second effect.
func (d Destination) HonoursKey() bool { return d.Idempotent == nil || *d.Idempotent }

// Breaker sets when calls to a destination are withheld.
type Breaker struct {
	Failures int           `yaml:"failures"` // consecutive failures that open it; default 5
	OpenFor  time.Duration `yaml:"open_for"` // how long it stays open before one probe; default 30s
}

// Route is one rule: mail that meets all of When goes to all of To. With Hold it
// waits for a person first.
type Route struct {
	Name string   `yaml:"name"`
	When When     `yaml:"when"`
	To   []string `yaml:"to"`
	Hold bool     `yaml:"hold"`
}

// What Unmatched may be. Either way the recipients are shown and counted.
const (
	UnmatchedNote = "note"
	UnmatchedHold = "hold" // held as recipient_unmatched
)

// When lists what a mail must meet; empty fields are met by all. Patterns are
// case-insensitive and know one wildcard, *, for any run of characters.
type When struct {
	Recipient string            `yaml:"recipient"` // also matches sub-addresses, unless it has a plus itself
	Tag       string            `yaml:"tag"`       // of the sub-address of that recipient: what stands after its first plus
	Sender    string            `yaml:"sender"`
	Subject   string            `yaml:"subject"`
	Header    map[string]string `yaml:"header"`
	Source    string            `yaml:"source"`
	Tenant    string            `yaml:"tenant"`
	// What the provider reports with the mail. Mailroom does not verify it.
	Auth    WhenAuth `yaml:"auth"`
	Type    string   `yaml:"type"`
	Mailbox string   `yaml:"mailbox"`
}

// WhenAuth matches what the provider says of the sender's authentication.
type WhenAuth struct {
	SPF   string `yaml:"spf"`
	DKIM  string `yaml:"dkim"`
	DMARC string `yaml:"dmarc"`
}

// Attachments bounds what inspection accepts.
type Attachments struct {
	FetchHosts   []string `yaml:"fetch_hosts"`   // must be empty: nothing is fetched yet
	AllowedTypes []string `yaml:"allowed_types"` // media types, "image/*" allowed; empty: every type
	MaxSize      Bytes    `yaml:"max_size"`      // of one attachment, decoded; default 25MiB
}

// Operator is one bearer token of the operator API. It has a role, or roles, or
// both; the higher one counts.
type Operator struct {
	Name  string            `yaml:"name"`
	Owner string            `yaml:"owner"` // the person that the token counts as where several have to approve; default name
	Role  string            `yaml:"role"`  // for every tenant: viewer, operator or admin
	Roles map[string]string `yaml:"roles"` // by tenant
	Token KeyRef            `yaml:"token"`
}

// OperatorPages configures the operator listener for browsers.
type OperatorPages struct {
	// UIOrigins are the origins of Temporal Web UIs whose pages may call the codec
	// server with the session of their user; empty: none.
	UIOrigins []string `yaml:"ui_origins"`
	// TemporalUI is the URL of the Temporal Web UI that the console links to; empty: no links.
	TemporalUI string `yaml:"temporal_ui"`
}

// Retry sets the times after which mail that waits for a dependency is held.
type Retry struct {
	Deliver time.Duration `yaml:"deliver"` // default 24h
	Scan    time.Duration `yaml:"scan"`    // default 24h
}

// Ingress configures the public listener and the dispatcher.
type Ingress struct {
	// TrustedProxies lists the networks (CIDR) whose X-Forwarded-For and
	// X-Forwarded-Proto are trusted; empty: none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	TLS            TLS      `yaml:"tls"`
	// PlainHTTP is what a request without TLS gets: accept (the default), redirect or refuse.
	PlainHTTP string `yaml:"plain_http"`
	// HSTS is the max-age of Strict-Transport-Security on answers over TLS; zero: none.
	HSTS         time.Duration `yaml:"hsts"`
	Throttle     Throttle      `yaml:"throttle"`
	Backpressure Backpressure  `yaml:"backpressure"`
	// Spool bounds the temporary files of large bodies, all together; default 2GiB.
	Spool  Bytes  `yaml:"spool"`
	Starts Starts `yaml:"starts"`
	// KeepFailures is how long failed verifications are kept; default 720h.
	KeepFailures time.Duration `yaml:"keep_failures"`
}

// TLS lets the ingress end TLS itself. The files are read again when they change.
type TLS struct {
	Certificate string `yaml:"certificate"` // PEM file, the chain included
	Key         string `yaml:"key"`         // PEM file
	// PlainListen is a second address, without TLS, that PlainHTTP decides about; empty: none.
	PlainListen string `yaml:"plain_listen"`
}

// Throttle refuses an address that has sent too many bad signatures. A good
// signature takes nothing from it.
type Throttle struct {
	Failures int           `yaml:"failures"` // default 600
	Per      time.Duration `yaml:"per"`      // default 1m
	Off      bool          `yaml:"off"`
}

// Backpressure refuses new events while the inbox is deeper or older than this;
// zero fields never do.
type Backpressure struct {
	Depth int64         `yaml:"depth"`
	Age   time.Duration `yaml:"age"`
}

// Starts bounds the starting of workflows.
type Starts struct {
	InFlight int `yaml:"in_flight"` // at most, per ingress; default 32
	// Ahead is how many emails may be started that no worker has stored yet; default 64, -1: any number.
	Ahead int `yaml:"ahead"`
}

// Encryption seals what Temporal stores: inputs, results, memos, summaries, texts of
// failures, and mail while the database is unavailable. Without keys it is stored in
// plain text.
type Encryption struct {
	// Keys are 32 bytes each, in hex or base64. The first seals, all open.
	Keys []EncryptionKey `yaml:"keys"`
}

// EncryptionKey is one key by reference. Key is filled when the reference is resolved.
type EncryptionKey struct {
	ID  string `yaml:"id"`
	Ref string `yaml:"ref"`
	Key Secret `yaml:"-"`
}
