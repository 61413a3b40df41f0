package workflows

import (
	"strings"

	"mailroom/shared/contract"
)

// explanation is what a reason means to somebody who has never seen Mailroom,
// and what approving would do.
type explanation struct {
	what    string
	approve string
}

var explanations = map[contract.Reason]explanation{
	contract.IDConflict:            {"Another email came earlier under the same event id, with other content.", "carries this one as an email of its own"},
	contract.SchemaInvalid:         {"Fields of the provider's call could not be read.", "goes on without them"},
	contract.MIMEMalformed:         {"The raw mail is too deeply nested or too broken to parse safely.", "goes on with the fields that the provider parsed"},
	contract.TooLarge:              {"An attachment is larger than the configured limit.", "delivers it all the same"},
	contract.TypeDenied:            {"An attachment is of a type that the configuration does not allow.", "delivers it all the same"},
	contract.AttachmentMismatch:    {"An attachment is not what it was declared to be (type, size or checksum).", "delivers it all the same"},
	contract.AttachmentUnfetchable: {"An attachment was given as a link, and links are not fetched.", "goes on without it"},
	contract.Infected:              {"The scanner found malware.", "releases the malware to the destinations"},
	contract.Unscannable:           {"The scanner could not look inside an attachment (encrypted, or past its limits).", "delivers it unscanned"},
	contract.ScannerUnavailable:    {"The scanner has been away for longer than the budget.", "delivers the attachments unscanned"},
	contract.Unroutable:            {"No routing rule names the recipient.", "reads the rules again, as retry does: add one first"},
	contract.RecipientForeign:      {"No recipient belongs to the tenant whose secret signed the call.", "routes it to whoever it is addressed to"},
	contract.DownstreamRejected:    {"A destination refused the email for good.", "sends it again, as retry does"},
	contract.DownstreamExhausted:   {"A destination has been away for longer than the budget.", "sends it again, as retry does"},
	contract.AmbiguousEffect:       {"A destination that honours no idempotency key may or may not have taken the email.", "sends it again, which may do the work twice"},
	contract.LoopDetected:          {"The email seems to go in circles: it has passed too many servers, or Mailroom itself.", "lets it go on"},
	contract.Internal:              {"A step failed again and again inside Mailroom.", "runs the step again, as retry does"},
	contract.ManualHold:            {"A routing rule asks for a person's approval.", "delivers it"},
	contract.DownstreamUnavailable: {"A destination is away.", "sends it again, as retry does"},
	contract.StorageUnavailable:    {"Postgres or the object store is away.", "runs the step again, as retry does"},
}

// details is the Markdown that the Web UI shows as the workflow's current
// details: what happened, and exactly what to do next.
func (e *inboundEmail) details() string {
	var b strings.Builder
	switch e.state {
	case contract.Quarantined:
		e.heldDetails(&b)
	case contract.Retrying:
		b.WriteString("**Waiting** (`" + string(e.reason) + "`). " + explanations[e.reason].what + "\n\n" + e.detail + ".\n\n" +
			"It is tried again by itself; Pending Activities shows the attempts, the last failure and the next attempt. " +
			"There is nothing to do unless it lasts.")
	case contract.Delivered:
		b.WriteString("**Delivered** to " + e.destinations() + ".")
	case contract.Discarded:
		b.WriteString("**Discarded** by an operator; the decision is in ")
		if e.in.Email.ID == 0 {
			b.WriteString("this workflow's history.")
		} else {
			b.WriteString("the ledger.")
		}
	case contract.Duplicate:
		b.WriteString("**Duplicate.** The ledger knew this event: another workflow carries the email, or has carried it. " +
			"Nothing was sent from here, and there is nothing to do.")
	default:
		b.WriteString("**In progress.** There is nothing to do.")
	}
	if e.in.Carried != nil && !e.state.Terminal() {
		b.WriteString("\n\n**Do not terminate this workflow:** until the ledger has a row for the email, nothing else knows of it.")
	}
	return b.String()
}

func (e *inboundEmail) heldDetails(b *strings.Builder) {
	b.WriteString("**Held for a person** at the step *" + e.step + "*.\n")
	for _, h := range e.held {
		for _, one := range h.holds {
			x := explanations[one.Reason]
			b.WriteString("\n- `" + string(one.Reason) + "`: " + x.what + " Found: " + strings.TrimSuffix(one.Detail, ".") +
				". Approving " + x.approve + ".")
		}
	}
	b.WriteString("\n\n**What to do:** *More Actions*, *Send a Signal*:\n")
	for _, s := range signals {
		b.WriteString("\n- `" + s.name + "`: " + s.description)
	}
	b.WriteString("\n\nInput, if you like: `{\"actor\":\"your name\",\"note\":\"why\"}`. *Request Cancellation* changes nothing.")
}

func (e *inboundEmail) destinations() string {
	names := make([]string, 0, len(e.legs))
	for _, l := range e.legs {
		names = append(names, "`"+l.destination+"`")
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}
