package reason

import (
	"slices"

	"mailroom/shared/contract"
)

// Explanation says what a reason means, for a reader who has never seen Mailroom.
// What and Next are sentences; Approve, Retry and Discard continue the name of the
// action ("Approving …"), without a full stop.
type Explanation struct {
	What    string
	Approve string
	Retry   string
	Discard string
	Next    string
	// Runbook is the anchor of the reason's section in deploy/docs/runbook.md.
	Runbook string
	// Unavailable marks an unavailable dependency: such mail continues by itself once it
	// has recovered.
	Unavailable bool
	// Fixable marks a cause in a rule or the configuration: after the fix such mail can be
	// retried in bulk.
	Fixable bool
	// Order has the actions about held email, the advised one first. Where Undecided is
	// set, the content decides which one, and none is advised before a look.
	Order     []contract.Action
	Undecided bool
	// Waived reports whether an approval waives the hold; if it does not, approving runs
	// the step again, as retry does.
	Waived bool
}

// Does continues the name of an action, as Approve, Retry and Discard do; empty for others.
func (x Explanation) Does(a contract.Action) string {
	return map[contract.Action]string{contract.Approve: x.Approve, contract.Retry: x.Retry, contract.Discard: x.Discard}[a]
}

// Risky reports whether an action is against the advice: to discard always is when it does
// not come first, and so is an approval that is advised less than to discard.
func (x Explanation) Risky(a contract.Action) bool {
	switch a {
	case contract.Discard:
		return true
	case contract.Approve:
		return x.Waived && slices.Index(x.Order, contract.Discard) < slices.Index(x.Order, contract.Approve)
	}
	return false
}

// Text returns the explanation of a reason. For an unknown reason, of a newer release,
// the explanation says so.
func Text(r contract.Reason) Explanation {
	if x, ok := texts[r]; ok {
		return x.explanation(r)
	}
	return Explanation{
		What:    "This release does not know the reason.",
		Approve: asRetry, Retry: runsAgain, Discard: endsIt,
		Next:    "Read the release notes, or update.",
		Runbook: "unknown", Order: again, Undecided: true,
	}
}

// Phrases that many reasons share.
const (
	asRetry   = "runs the step again, as retry does, because there is nothing to waive"
	runsAgain = "runs the step again and waives nothing"
	endsIt    = "ends the email: nothing more is sent; the original is kept as configured"
	asIs      = "delivers it anyway"
)

// Orders of the actions, the advised one first.
var (
	letGo   = []contract.Action{contract.Approve, contract.Edited, contract.Retry, contract.Discard}
	amend   = []contract.Action{contract.Edited, contract.Approve, contract.Retry, contract.Discard}
	again   = []contract.Action{contract.Retry, contract.Edited, contract.Approve, contract.Discard}
	suspect = []contract.Action{contract.Edited, contract.Discard, contract.Retry, contract.Approve}
	unsafe  = []contract.Action{contract.Retry, contract.Edited, contract.Discard, contract.Approve}
	end     = []contract.Action{contract.Discard, contract.Retry, contract.Edited, contract.Approve}
)

// text holds what differs between reasons.
type text struct {
	what, approve, retry, discard, next string
	kind                                kind
	order                               []contract.Action
	undecided                           bool
}

// kind says what resolves a reason.
type kind int

const (
	content     kind = iota // a person, after a look at the content
	fix                     // a change of a rule or the configuration
	unavailable             // time: a dependency is unavailable
)

func (t text) explanation(r contract.Reason) Explanation {
	x := Explanation{
		What: t.what, Approve: t.approve, Retry: t.retry, Discard: t.discard, Next: t.next,
		Runbook: string(r), Unavailable: t.kind == unavailable, Fixable: t.kind == fix, Waived: t.approve != "",
		Order: t.order, Undecided: t.undecided,
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

// texts holds every reason. Without an approve text an approval waives nothing.
var texts = map[contract.Reason]text{
	contract.IDConflict: {
		what:    "An earlier email has the same event id and different content.",
		approve: "continues with this one as an email of its own",
		retry:   "compares both bodies again, with the same result",
		discard: "ends this one; the earlier email is not changed",
		next:    "Compare both emails. If the provider reuses ids, approve; if this is a changed copy, discard.",
		order:   letGo, undecided: true,
	},
	contract.SchemaInvalid: {
		what:    "The provider's call, or a field of it, could not be read.",
		approve: "continues without the fields that could not be read",
		retry:   "reads the call again, which helps after an update or an edit of its fields",
		next:    "Look at the raw call. Map a renamed field by an edit, or approve if what is missing does not matter.",
		kind:    fix,
		order:   amend,
	},
	contract.MIMEMalformed: {
		what:    "The raw mail exceeds a limit of the parser, is one piece of a split mail, or cannot be parsed at all.",
		approve: "continues with what could be read, and takes the rest from the provider's own fields",
		retry:   "parses the mail again, which helps after an update",
		next:    "Look at the raw mail and at what was read of it. Approve if nothing important is missing.",
		order:   letGo,
	},
	contract.TooLarge: {
		what:    "An attachment is larger than attachments.max_size.",
		approve: asIs,
		retry:   "checks the size again, which helps once attachments.max_size allows it",
		next:    "Approve this one, drop the attachment by an edit, or raise attachments.max_size and retry.",
		kind:    fix,
		order:   letGo,
	},
	contract.TypeDenied: {
		what:    "The detected type of an attachment is not in attachments.allowed_types.",
		approve: asIs,
		retry:   "checks the type again, which helps once attachments.allowed_types has it",
		next:    "Drop the attachment by an edit, approve this one, or allow the type and retry.",
		kind:    fix,
		order:   amend,
	},
	contract.AttachmentMismatch: {
		what:    "An attachment does not match its declared type, size or checksum.",
		approve: asIs,
		retry:   "compares the same bytes again, with the same result unless the rules have changed",
		next:    "Treat it as suspicious: look at the detected type before you approve, or drop the attachment by an edit.",
		order:   suspect,
	},
	contract.AttachmentUnfetchable: {
		what:    "An attachment was sent as a link, and links are not fetched.",
		approve: "continues without it",
		retry:   "checks again, with the same result",
		next:    "Approve if the email is useful without it, or have the provider send the content.",
		order:   letGo,
	},
	contract.Infected: {
		what:    "The scanner found malware.",
		approve: "releases the malware to the destinations",
		retry:   "scans again, which helps once newer signatures correct a false alarm",
		discard: "ends the email: nothing is sent, and only operators can reach the malware until it is removed",
		next:    "Discard it. For a known false alarm only, update the signatures and retry, or drop the attachment by an edit.",
		order:   end,
	},
	contract.Unscannable: {
		what: "The scanner could not look inside a part of the email: it is encrypted, nested too deeply, or exceeds a limit " +
			"of the scanner.",
		approve: "delivers it unscanned",
		retry:   "scans again, which helps once the scanner's limits allow it",
		next:    "Ask the sender for an open copy, or drop the attachment by an edit. Approve only if the sender is known to encrypt.",
		order:   suspect,
	},
	contract.ScannerUnavailable: {
		what:    "The scanner does not answer, or its answers cannot be trusted.",
		approve: "delivers the attachments unscanned",
		retry:   "scans again, which helps once the scanner has recovered",
		next:    "Restore the scanner: the email then continues by itself. Do not approve it to save time.",
		kind:    unavailable,
		order:   unsafe,
	},
	contract.Unroutable: {
		what:  "No routing rule matches the email.",
		retry: "evaluates the rules again",
		next:  "Add or correct a rule, then retry; or name the destination by an edit.",
		kind:  fix,
		order: again,
	},
	contract.RecipientForeign: {
		what:    "No recipient is in a domain of the tenant whose secret signed the call.",
		approve: "evaluates the rules for these recipients",
		retry:   "compares the recipients with the tenant's domains again",
		next:    "Add the domain to its tenant and retry. If it is another tenant's domain, a secret is in the wrong hands: discard, and rotate it.",
		kind:    fix,
		order:   unsafe,
	},
	contract.RecipientUnmatched: {
		what:    "No routing rule takes one of the recipients, while a rule takes another, and the configuration says unmatched: hold.",
		approve: "delivers it to the destinations of the rules that match",
		retry:   "evaluates the rules again",
		next:    "Add or correct a rule, then retry; or approve it for the recipients that a rule takes.",
		kind:    fix,
		order:   again,
	},
	contract.DownstreamRejected: {
		what:  "A destination refused the email permanently.",
		retry: "sends it again to the destinations that do not have it",
		next:  "Find the cause at the destination; correct it there or by an edit, then retry.",
		kind:  fix,
		order: again,
	},
	contract.DownstreamExhausted: {
		what:  "A destination was unavailable for longer than retry.deliver allows.",
		retry: "sends it again to the destinations that do not have it",
		next:  "Restore the destination: the email then continues by itself.",
		kind:  unavailable,
		order: again,
	},
	contract.AmbiguousEffect: {
		what:  "A destination with idempotent: false may or may not have processed the email.",
		retry: "sends it again, which may do the work twice",
		next:  "Look for the email at the destination. If it is there, discard; if not, retry.",
		order: end, undecided: true,
	},
	contract.LoopDetected: {
		what:    "The email seems to be in a loop: it has passed too many servers, or its X-Mailroom-Event-Id names an earlier email.",
		approve: "continues, once more around the loop if there is one",
		retry:   "checks again, with the same result",
		next:    "Find the auto-reply or forwarding rule that causes the loop, and break it before you approve; otherwise discard.",
		order:   end,
	},
	contract.Internal: {
		what:  "A step failed repeatedly inside Mailroom.",
		retry: "runs the step again",
		next:  "Look for step.failed in the worker's log under the correlation id; report it, then retry.",
		order: again,
	},
	contract.ManualHold: {
		what:    "A routing rule with hold: true, or a person, requires an approval.",
		approve: "lets it go on",
		retry:   "evaluates the rules again; what a person has held stays held until it is approved",
		next:    "Read it and decide. To hold no more of such mail, remove hold from the rule and retry.",
		order:   letGo,
	},
	contract.DownstreamUnavailable: {
		what:  "A destination is unavailable or paused, and the email waits for it.",
		retry: "sends it again",
		next:  "There is nothing to do unless it lasts: Mailroom tries again by itself.",
		kind:  unavailable,
		order: again,
	},
	contract.StorageUnavailable: {
		what:  "PostgreSQL or the object store does not answer.",
		retry: "runs the step again",
		next:  "Restore it: the email then continues by itself.",
		kind:  unavailable,
		order: again,
	},
}
