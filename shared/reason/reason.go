package reason

import "mailroom/shared/contract"

// Explanation is what a reason means to somebody who has never seen Mailroom.
// What and Next are sentences; Approve, Retry and Discard go on from the name of the
// action ("Approving …"), without a full stop.
type Explanation struct {
	What    string `json:"what"`
	Approve string `json:"approve"`
	Retry   string `json:"retry"`
	Discard string `json:"discard"`
	Next    string `json:"next"`
	// Runbook is the anchor of the reason's section in deploy/docs/runbook.md.
	Runbook string `json:"runbook"`
	// Away marks what time cures: such mail goes on by itself once what was away is back.
	Away bool `json:"away"`
	// Fixable marks what a rule or the configuration causes: after the fix such mail
	// can be tried again in bulk.
	Fixable bool `json:"fixable"`
	// Waived reports whether an approval lets the email pass; where it does not,
	// approving runs the step once more, as retrying does.
	Waived bool `json:"waived"`
}

// Text explains a reason. An unknown one, of a newer release, gets a text that
// says so.
func Text(r contract.Reason) Explanation {
	if x, ok := texts[r]; ok {
		return x.explanation(r)
	}
	return Explanation{
		What:    "This release does not know the reason.",
		Approve: asRetry, Retry: runsAgain, Discard: endsIt,
		Next:    "Look at the release notes, or update.",
		Runbook: "unknown",
	}
}

// Phrases that many reasons share.
const (
	asRetry   = "runs the step again, as retrying does, because there is nothing to let pass"
	runsAgain = "runs the step again and lets nothing pass"
	endsIt    = "ends the email: nothing more is sent, the original is kept as configured"
	asIs      = "delivers it all the same"
)

// text is what differs between reasons.
type text struct {
	what, approve, retry, discard, next string
	kind                                kind
}

// kind is what cures a reason.
type kind int

const (
	content kind = iota // a person's look at the content
	fix                 // a rule or the configuration
	away                // time
)

func (t text) explanation(r contract.Reason) Explanation {
	x := Explanation{
		What: t.what, Approve: t.approve, Retry: t.retry, Discard: t.discard, Next: t.next,
		Runbook: string(r), Away: t.kind == away, Fixable: t.kind == fix, Waived: t.approve != "",
	}
	for _, or := range []struct {
		field *string
		text  string
	}{{&x.Approve, asRetry}, {&x.Retry, runsAgain}, {&x.Discard, endsIt}} {
		if *or.field == "" {
			*or.field = or.text
		}
	}
	return x
}

// texts holds every reason. No approve text means that an approval waives nothing.
var texts = map[contract.Reason]text{
	contract.IDConflict: {
		what:    "Another email came earlier under the same event id, with other content.",
		approve: "carries this one as an email of its own",
		retry:   "asks the same question again: the two bodies will not become one",
		discard: "ends this one; the email that came first is not touched",
		next:    "Compare it with the first email. If the provider reuses ids, approve; if it is a changed copy, discard.",
	},
	contract.SchemaInvalid: {
		what:    "Fields of the provider's call could not be read.",
		approve: "goes on without the fields that could not be read",
		retry:   "reads the call again, which helps after an update or an edit of its fields",
		next:    "Look at the raw call. Name the field by an edit, or approve if what is missing does not matter.",
		kind:    fix,
	},
	contract.MIMEMalformed: {
		what:    "The raw mail exceeds a limit of the parser, is one piece of a larger mail, or cannot be parsed at all.",
		approve: "goes on with what could be read of it, and the provider's own fields where it has none",
		retry:   "parses the mail again, which helps after an update",
		next:    "Look at the raw mail and at what was read of it. Approve if nothing that matters is missing.",
	},
	contract.TooLarge: {
		what:    "An attachment is larger than the configured limit.",
		approve: asIs,
		retry:   "measures again, which helps once attachments.max_size allows it",
		next:    "Approve this one, drop the attachment by an edit, or raise attachments.max_size and retry.",
		kind:    fix,
	},
	contract.TypeDenied: {
		what:    "An attachment is of a type that the configuration does not allow.",
		approve: asIs,
		retry:   "looks again, which helps once attachments.allowed_types has the type",
		next:    "Approve this one, drop the attachment by an edit, or allow the type and retry.",
		kind:    fix,
	},
	contract.AttachmentMismatch: {
		what:    "An attachment is not what it was declared to be (type, size or checksum).",
		approve: asIs,
		retry:   "compares again, with the same bytes and so with the same result unless the rules have changed",
		next:    "Treat it as suspicious: look at the detected type before you approve, or drop the attachment by an edit.",
	},
	contract.AttachmentUnfetchable: {
		what:    "An attachment was given as a link, and links are not fetched.",
		approve: "goes on without it",
		retry:   "asks the same question again",
		next:    "Approve if the email is of use without it, or ask the sender to attach the file itself.",
	},
	contract.Infected: {
		what:    "The scanner found malware.",
		approve: "releases the malware to the destinations",
		retry:   "scans again, which helps when the signatures had a false alarm that is mended",
		discard: "ends the email: nothing is sent, and the malware stays where only operators can reach it until it is purged",
		next:    "Discard it. Only if the scanner's name for it is a known false alarm: update the signatures and retry, or drop the attachment by an edit.",
	},
	contract.Unscannable: {
		what:    "The scanner could not look inside an attachment (encrypted, or past its limits).",
		approve: "delivers it unscanned",
		retry:   "scans again, which helps once the scanner's limits allow it",
		next:    "Ask the sender, or drop the attachment by an edit. Approve only for senders who are known to encrypt.",
	},
	contract.ScannerUnavailable: {
		what:    "The scanner has been away for longer than the budget.",
		approve: "delivers the attachments unscanned",
		retry:   "scans, if the scanner is back",
		next:    "Bring the scanner back: the email then goes on by itself. Do not approve to make haste.",
		kind:    away,
	},
	contract.Unroutable: {
		what:  "No routing rule names the recipient.",
		retry: "reads the rules again",
		next:  "Add or mend a rule, then retry; or name the destination by an edit.",
		kind:  fix,
	},
	contract.RecipientForeign: {
		what:    "No recipient belongs to the tenant whose secret signed the call.",
		approve: "routes it to whoever it is addressed to",
		retry:   "compares with the tenant's domains again",
		next:    "Add the domain to its tenant and retry. If the domain is another tenant's, somebody has the wrong secret: discard, and rotate it.",
		kind:    fix,
	},
	contract.DownstreamRejected: {
		what:  "A destination refused the email for good.",
		retry: "sends it again, to the destinations that do not have it",
		next:  "Find out from the destination what it did not like; mend it there or by an edit, then retry.",
		kind:  fix,
	},
	contract.DownstreamExhausted: {
		what:  "A destination has been away for longer than the budget.",
		retry: "sends it again, to the destinations that do not have it",
		next:  "Bring the destination back: the email then goes on by itself.",
		kind:  away,
	},
	contract.AmbiguousEffect: {
		what:  "A destination that honours no idempotency key may or may not have taken the email.",
		retry: "sends it again, which may do the work twice",
		next:  "Look into the destination. If it has the email, discard; if not, retry.",
	},
	contract.LoopDetected: {
		what:    "The email seems to go in circles: it has passed too many servers, or carries the mark of an email that was here before.",
		approve: "lets it go on, one more time round if it is a circle",
		retry:   "looks again, with the same result",
		next:    "Find out who forwards to whom before you approve.",
	},
	contract.Internal: {
		what:  "A step failed again and again inside Mailroom.",
		retry: "runs the step again",
		next:  "Look for step.failed in the worker's log under the correlation id; report it, then retry.",
	},
	contract.ManualHold: {
		what:    "A routing rule asks for a person's approval.",
		approve: "delivers it",
		retry:   "reads the rules again",
		next:    "Read it and decide. To stop asking, take hold from the rule and retry.",
	},
	contract.DownstreamUnavailable: {
		what:  "A destination is away.",
		retry: "sends it again",
		next:  "There is nothing to do unless it lasts: it is tried again by itself.",
		kind:  away,
	},
	contract.StorageUnavailable: {
		what:  "Postgres or the object store is away.",
		retry: "runs the step again",
		next:  "Bring it back: the email then goes on by itself.",
		kind:  away,
	},
}
