// Package address reads mail addresses in the one form that they are compared in:
// by the rules, and by the check whose domains they belong to.
//
// Invariants: no input is an error; equal domains have equal forms, whatever their
// case, their root's dot and the form of their labels (RFC 5890); the part after the
// last @ is the domain, because a quoted local part may hold one (RFC 5321 §4.1.2).
package address

import (
	"strings"

	"golang.org/x/net/idna"
)

// maxDomain is the longest text in bytes that may be a domain name: 255 bytes as
// A-labels (RFC 1035 §2.3.4) are no more than this in any script.
const maxDomain = 1024

// Address is an address in two parts. Without an @ all of it is the local part.
type Address struct {
	Local  string // as it stands in the mail
	Domain string // as Domain returns it
}

// Parse reads a bare address, or one in angle brackets.
func Parse(text string) Address {
	text = Bare(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Address{Local: text}
	}
	return Address{Local: text[:at], Domain: Domain(text[at+1:])}
}

// Bare returns text without surrounding blanks and angle brackets.
func Bare(text string) string {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "<"); ok {
		text = strings.TrimSuffix(inner, ">")
	}
	return text
}

// Domain returns the form of a domain that is compared: lower case, A-labels, no
// root's dot. What is no domain name is returned in lower case.
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
func (d Domains) Own(text string) bool {
	return len(d) == 0 || d[Parse(text).Domain]
}

// Foreign returns those of list that belong to none of the domains, bare and each
// once, in their order; nil where there are none.
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
