package edit

import (
	"encoding/hex"
	"fmt"
	netmail "net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// Known is what Validate compares an edit with.
type Known struct {
	// Destinations are the names of those that serve the email's tenant.
	Destinations []string
	// Attachments are those of the email, including dropped ones.
	Attachments []mail.Attachment
}

// targets are the top-level members of an event that another member can be read as:
// the names of both shapes.
var targets = []string{
	"attachments", "auth", "cc", "envelope", "event_id", "from", "headers", "html", "id", "mailbox", "messageId",
	"rawMimeBase64", "rawMimeUrl", "raw_mime_base64", "raw_mime_url", "receivedAt", "recipient", "sender", "subject",
	"text", "timestamp", "to", "type",
}

// Targets returns the valid values of Edit.Fields.
func Targets() []string { return slices.Clone(targets) }

// Validate returns nil or one request_invalid with all mistakes of an edit, each with
// the field and its bound.
func Validate(e contract.Edit, k Known) error {
	var m mistakes
	if Empty(e) {
		m.add("", "it changes nothing")
	}
	m.to(e.To, k.Destinations)
	m.recipients(e.Recipients)
	m.headers(e.Headers)
	m.charset(e.Charset)
	m.drop(e.Drop, k.Attachments)
	m.fields(e.Fields)
	if len(m) == 0 {
		return nil
	}
	return fault.New(fault.RequestInvalid, strings.Join(m, "; "))
}

// Empty reports whether an edit changes nothing.
func Empty(e contract.Edit) bool {
	return len(e.To)+len(e.Recipients)+len(e.Headers)+len(e.Drop)+len(e.Fields) == 0 && e.Charset == ""
}

// mostMistakes is how many mistakes are named: an edit may have thousands.
const mostMistakes = 10

// mistakes are the texts about an invalid edit.
type mistakes []string

func (m *mistakes) add(field, format string, args ...any) {
	switch {
	case len(*m) == mostMistakes:
		*m = append(*m, "and more")
	case len(*m) < mostMistakes:
		path := "edit"
		if field != "" {
			path += "." + field
		}
		*m = append(*m, path+": "+fmt.Sprintf(format, args...))
	}
}

// count checks the length of a list and reports whether its entries are to be checked.
func (m *mistakes) count(field string, n, limit int) bool {
	if n > limit {
		m.add(field, "has %d entries, at most %d", n, limit)
	}
	return n <= limit
}

func (m *mistakes) to(list, known []string) {
	if !m.count("to", len(list), contract.MaxEditTo) {
		return
	}
	for i, name := range list {
		switch {
		case !slices.Contains(known, name):
			m.add(at("to", i), "is no destination of the tenant of this email")
		case slices.Contains(list[:i], name):
			m.add(at("to", i), "is there twice")
		}
	}
}

func (m *mistakes) recipients(list []string) {
	if !m.count("recipients", len(list), contract.MaxEditRecipients) {
		return
	}
	for i, address := range list {
		switch {
		case len(address) > contract.MaxEditAddress:
			m.add(at("recipients", i), "has %d bytes, at most %d", len(address), contract.MaxEditAddress)
		case !bareAddress(address):
			m.add(at("recipients", i), "is not one bare address (RFC 5322 §3.4.1)")
		case slices.ContainsFunc(list[:i], func(other string) bool { return strings.EqualFold(other, address) }):
			m.add(at("recipients", i), "is there twice")
		}
	}
}

// bareAddress reports whether text is an addr-spec and nothing more.
func bareAddress(text string) bool {
	if !plain(text) || strings.ContainsAny(text, "<>") {
		return false
	}
	parsed, err := netmail.ParseAddress(text)
	return err == nil && parsed.Name == "" && plain(parsed.Address) && !strings.ContainsAny(text, " \t")
}

func (m *mistakes) headers(set map[string]*string) {
	if !m.count("headers", len(set), contract.MaxEditHeaders) {
		return
	}
	seen := map[string]bool{}
	for _, name := range sorted(set) {
		if len(name) > contract.MaxEditName || !fieldName(name) {
			m.add("headers", "a name is not 1 to %d printable ASCII characters without a colon (RFC 5322 §3.6.8)", contract.MaxEditName)
			continue
		}
		if lower := strings.ToLower(name); seen[lower] {
			m.add("headers."+shown(name), "is there twice, in different case")
		} else {
			seen[lower] = true
		}
		if value := set[name]; value != nil {
			m.header(name, *value)
		}
	}
}

// shown returns at most 64 bytes of a printable name.
func shown(name string) string { return name[:min(len(name), 64)] }

func (m *mistakes) header(name, value string) {
	field := "headers." + shown(name)
	switch {
	case len(value) > contract.MaxEditValue:
		m.add(field, "has %d bytes, at most %d", len(value), contract.MaxEditValue)
	case strings.ContainsAny(value, "\r\n"):
		m.add(field, "has a line break")
	case !plain(value):
		m.add(field, "has control characters, or is not UTF-8")
	case strings.TrimSpace(value) == "":
		m.add(field, "is empty: null removes it")
	case strings.TrimSpace(value) != value:
		m.add(field, "begins or ends with white space")
	case !readable(name, value):
		m.add(field, "cannot be read as what this field holds (RFC 5322 §3.6)")
	}
}

func (m *mistakes) charset(name string) {
	if name == "" {
		return
	}
	if _, ok := Charset(name); !ok {
		m.add("charset", "is no character set of the WHATWG Encoding Standard, such as utf-8, windows-1252 or iso-2022-jp")
	}
}

// Charset returns the encoding of a name of the WHATWG Encoding Standard, in any case.
func Charset(name string) (encoding.Encoding, bool) {
	if len(name) > 64 || strings.TrimSpace(name) != name {
		return nil, false
	}
	e, err := htmlindex.Get(name)
	if err != nil || e == encoding.Replacement { // browsers refuse to decode these
		return nil, false
	}
	return e, true
}

func (m *mistakes) drop(list []string, attachments []mail.Attachment) {
	if !m.count("drop", len(list), contract.MaxEditDrop) {
		return
	}

	known := make(map[string]bool, len(attachments))
	for _, a := range attachments {
		known[a.SHA256] = a.SHA256 != ""
	}

	seen := make(map[string]bool, len(list))
	for i, sum := range list {
		b, err := hex.DecodeString(sum)
		switch lower := strings.ToLower(sum); {
		case err != nil || len(b) != 32:
			m.add(at("drop", i), "is not the SHA-256 of an attachment in 64 hexadecimal digits")
		case !known[lower]:
			m.add(at("drop", i), "is the SHA-256 of no attachment of this email")
		case seen[lower]:
			m.add(at("drop", i), "is there twice")
		default:
			seen[lower] = true
		}
	}
}

func (m *mistakes) fields(set map[string]string) {
	if !m.count("fields", len(set), contract.MaxEditFields) {
		return
	}
	taken := map[string]bool{}
	for _, from := range sorted(set) {
		to := set[from]
		switch {
		case from == "" || len(from) > contract.MaxEditName || !plain(from):
			m.add("fields", "a name is not 1 to %d bytes of printable text", contract.MaxEditName)
		case !slices.Contains(targets, to):
			m.add("fields", "the target of a member must be one of %s", strings.Join(targets, ", "))
		case from == to:
			m.add("fields", "%s is to be read as itself", to)
		case taken[to]:
			m.add("fields", "two members are to be read as %s", to)
		default:
			taken[to] = true
		}
	}
}

// fieldName reports whether name may name a header field (RFC 5322 §3.6.8).
func fieldName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) < 0
}

// plain reports whether text is valid UTF-8 without control characters.
func plain(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029'
	}) < 0
}

func at(field string, index int) string { return field + "[" + strconv.Itoa(index) + "]" }

// sorted returns the names of a set in alphabetical order.
func sorted[V any](set map[string]V) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
