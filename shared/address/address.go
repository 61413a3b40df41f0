package address

import (
	"strings"

	"golang.org/x/net/idna"
)

// maxDomain is the longest text in bytes that may be a domain name: 255 bytes as
// A-labels (RFC 1035 §2.3.4) are no more than this in any script.
const maxDomain = 1024

// Address is a parsed address. Without an @ all of it is the local part.
type Address struct {
	// Local is the local part without its quotes (RFC 5321 §4.1.2); its case is kept.
	Local string
	// Base and Tag are what comes before and after the first + of Local (RFC 5233).
	// If either would be empty, Base is Local and Tag is empty.
	Base, Tag string
	Domain    string // as the function Domain returns it
	host      string // the @ and the domain as written in the mail
}

// Parse reads a bare address, or one in angle brackets.
func Parse(text string) Address {
	text = Bare(text)
	a := Address{}
	local := text
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		local, a.host = text[:at], text[at:]
		a.Domain = Domain(a.host[1:])
	}

	a.Local = unquote(local)
	a.Base = a.Local
	if base, tag, ok := strings.Cut(a.Local, "+"); ok && base != "" && tag != "" {
		a.Base, a.Tag = base, tag
	}
	return a
}

// Mailbox returns the address without its tag.
func (a Address) Mailbox() string {
	return quote(a.Base) + a.host
}

// HasDomain reports whether there is an @.
func (a Address) HasDomain() bool { return a.host != "" }

// Deliverable reports whether text has a local part, and a domain that can exist: a
// literal in brackets, or labels of 1 to 63 octets that are 253 together (RFC 1035
// §2.3.4). It looks nothing up.
func Deliverable(text string) bool {
	a := Parse(text)
	if a.Local == "" || a.Domain == "" || len(a.Domain) > 253 {
		return false
	}
	if strings.HasPrefix(a.Domain, "[") {
		return strings.HasSuffix(a.Domain, "]")
	}
	for label := range strings.SplitSeq(a.Domain, ".") {
		other := func(r rune) bool { return r <= ' ' || r >= 0x7f } // no A-label
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, other) {
			return false
		}
	}
	return true
}

// Unicode returns the domain in lower case with U-labels, as a person writes it.
func (a Address) Unicode() string {
	if !strings.Contains(a.Domain, "xn--") || len(a.Domain) > maxDomain {
		return a.Domain
	}
	text, err := idna.Lookup.ToUnicode(a.Domain)
	if err != nil {
		return a.Domain
	}
	return text
}

// unquote returns the content of a quoted local part, and any other one unchanged.
func unquote(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var out strings.Builder
	for inner := local[1 : len(local)-1]; inner != ""; inner = inner[1:] {
		if inner[0] == '\\' && len(inner) > 1 {
			inner = inner[1:]
		}
		out.WriteByte(inner[0])
	}
	return out.String()
}

// quote returns a local part as it is written in an address: quoted unless it is a
// dot-atom (RFC 5321 §4.1.2).
func quote(local string) string {
	plain := local != "" && strings.IndexFunc(local, func(r rune) bool {
		return r <= ' ' || strings.ContainsRune(`"(),:;<>@[\]`, r) || r == 0x7f
	}) < 0
	if plain {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// Bare returns text without surrounding blanks and angle brackets.
func Bare(text string) string {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "<"); ok {
		text = strings.TrimSuffix(inner, ">")
	}
	return text
}

// Domain returns a domain in the form that is compared: lower case, A-labels, no
// trailing dot. Text that is no domain name is returned in lower case.
func Domain(text string) string {
	text = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), ".")
	if len(text) > maxDomain {
		return text
	}
	ascii, err := idna.Lookup.ToASCII(text)
	if err != nil {
		return text
	}
	return strings.TrimSuffix(ascii, ".")
}

// Domains is a set of domains that addresses may belong to. The empty set owns every
// address.
type Domains map[string]bool

// NewDomains returns the set of these domains.
func NewDomains(list []string) Domains {
	set := make(Domains, len(list))
	for _, d := range list {
		set[Domain(d)] = true
	}
	return set
}

// Own reports whether the address belongs to one of the domains, label for label: a
// domain does not cover its subdomains.
func (d Domains) Own(text string) bool { return len(d) == 0 || d.Covers(Parse(text)) }

// Covers is Own for an address that has been parsed.
func (d Domains) Covers(a Address) bool { return len(d) == 0 || d[a.Domain] }

// Foreign returns the addresses of list that belong to none of the domains: bare,
// without duplicates, in order. It returns nil if there are none.
func (d Domains) Foreign(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, text := range list {
		if bare := Bare(text); !seen[bare] && !d.Own(bare) {
			seen[bare] = true
			out = append(out, bare)
		}
	}
	return out
}
