package rules

import (
	"strings"

	"mailroom/shared/address"
)

// mailbox is a compiled pattern of addresses. Its domain is compared case-insensitively
// and in both forms of an internationalised name; its local part case-insensitively,
// unless the tenant's local parts are case-sensitive. The local part of a recipient is
// also compared without the tag of a sub-address (RFC 5233). That has no plus, so a
// pattern with a plus is compared with the whole local part.
type mailbox struct {
	text   string
	whole  bool // without an @: compared with the whole address
	tags   bool // also compared without the tag
	local  byCase
	domain pattern
}

// byCase is a pattern for both kinds of tenants.
type byCase struct{ anyCase, ownCase pattern }

func compileByCase(text string) byCase { return byCase{compileAs(text, false), compileAs(text, true)} }

func (b byCase) match(text string, ownCase bool) bool {
	if ownCase {
		return b.ownCase.match(text)
	}
	return b.anyCase.match(text)
}

// compileSender returns a pattern that is compared with the address including its tag.
func compileSender(text string) *mailbox {
	if text == "" {
		return nil
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return &mailbox{text: text, whole: true, local: compileByCase(text)}
	}

	domain := text[at+1:]
	if !strings.Contains(domain, "*") {
		domain = address.Domain(domain)
	}
	return &mailbox{text: text, local: compileByCase(address.Parse(text[:at+1]).Local), domain: compile(domain)}
}

// compileRecipient returns a pattern that matches sub-addresses.
func compileRecipient(text string) *mailbox {
	p := compileSender(text)
	if p != nil {
		p.tags = true
	}
	return p
}

func (p *mailbox) match(a address.Address, ownCase bool) bool {
	if !p.whole && (!a.HasDomain() || !p.domain.match(a.Domain) && !p.domain.match(a.Unicode())) {
		return false
	}
	if p.local.match(p.subject(a.Local, a), ownCase) {
		return true
	}
	return p.tags && a.Tag != "" && p.local.match(p.subject(a.Base, a), ownCase)
}

// subject returns the text that the local pattern is compared with: the local part, or
// the whole address.
func (p *mailbox) subject(local string, a address.Address) string {
	if p.whole && a.HasDomain() {
		return local + "@" + a.Domain
	}
	return local
}

// takes reports whether a recipient meets the conditions about recipients.
func (rt *route) takes(a address.Address, ownCase bool) bool {
	if rt.recipient != nil && !rt.recipient.match(a, ownCase) {
		return false
	}
	return rt.tag == nil || a.Tag != "" && rt.tag.match(a.Tag, ownCase)
}

// unmetBy returns why no recipient meets the conditions about recipients, in words for
// a person; empty if one meets both.
func (rt *route) unmetBy(recipients []address.Address, ownCase bool) string {
	if rt.recipient == nil && rt.tag == nil {
		return ""
	}
	named := false
	for _, a := range recipients {
		if rt.takes(a, ownCase) {
			return ""
		}
		named = named || rt.recipient != nil && rt.recipient.match(a, ownCase)
	}

	switch {
	case rt.recipient == nil:
		return "no recipient has a tag that matches " + quoted(rt.tag.anyCase.text)
	case named:
		return "no recipient that matches " + quoted(rt.recipient.text) + " has a tag that matches " + quoted(rt.tag.anyCase.text)
	}
	return "no recipient matches " + quoted(rt.recipient.text)
}
