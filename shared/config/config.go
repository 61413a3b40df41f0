// Package config is what a person configures: one YAML file that says what to do
// with mail (File) and the environment that says where things are (Env).
//
// Invariants: both are read once, by main; the file is checked against a JSON
// Schema and every mistake is named with its path; secrets stand in the file as
// references only and are Secret values, which print as "[redacted]".
package config

import (
	"fmt"
	"io"
	"time"
)

// Secret is a value that never prints itself, not even as an unexported field of
// something printed: hence the pointer. Reveal is the only way to the text. The
// zero value is the empty secret; two secrets are compared by what they reveal,
// not with ==.
type Secret struct{ text *string }

// NewSecret wraps text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal gives the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// String gives "[redacted]", whatever the secret.
func (Secret) String() string { return "[redacted]" }

// GoString gives "[redacted]", whatever the secret.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText gives "[redacted]", so that JSON, YAML and slog show nothing.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// File is the configuration file.
type File struct {
	Sources      []Source      `yaml:"sources"`
	Tenants      []Tenant      `yaml:"tenants"`
	Destinations []Destination `yaml:"destinations"`
	Routes       []Route       `yaml:"routes"`
	Attachments  Attachments   `yaml:"attachments"`
	Operators    []Operator    `yaml:"operators"`
	Retry        Retry         `yaml:"retry"`
}

// Source is one webhook endpoint: who posts there and how it proves itself.
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
}

// KeyRef is one secret of a source by reference. Key is filled when the
// reference is resolved.
type KeyRef struct {
	Ref     string    `yaml:"ref"`
	Expires time.Time `yaml:"expires"` // zero: never
	Scheme  string    `yaml:"scheme"`  // empty: every scheme of the source
	Key     Secret    `yaml:"-"`
}

// Tenant owns mail by its domains. Without domains it owns every recipient.
type Tenant struct {
	Name    string   `yaml:"name"`
	Domains []string `yaml:"domains"`
}

// Destination is one downstream system.
type Destination struct {
	Name         string        `yaml:"name"`
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

// When lists what a mail must meet; empty fields are met by all. Patterns are
// case-insensitive and know one wildcard, *, for any run of characters.
type When struct {
	Recipient string            `yaml:"recipient"`
	Sender    string            `yaml:"sender"`
	Subject   string            `yaml:"subject"`
	Header    map[string]string `yaml:"header"`
	Source    string            `yaml:"source"`
	Tenant    string            `yaml:"tenant"`
}

// Attachments bounds what inspection lets pass.
type Attachments struct {
	FetchHosts   []string `yaml:"fetch_hosts"`
	AllowedTypes []string `yaml:"allowed_types"` // media types, "image/*" allowed; empty: every type
	MaxSize      Bytes    `yaml:"max_size"`      // of one attachment, decoded; default 25MiB
}

// Operator is one bearer token of the operator API.
type Operator struct {
	Name  string `yaml:"name"`
	Role  string `yaml:"role"` // viewer, operator or admin
	Token KeyRef `yaml:"token"`
}

// Retry sets the budgets after which mail that waits is held.
type Retry struct {
	Deliver time.Duration `yaml:"deliver"` // default 24h
	Scan    time.Duration `yaml:"scan"`    // default 24h
}
