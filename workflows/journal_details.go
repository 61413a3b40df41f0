package workflows

import (
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/reason"
)

// details is the Markdown that the Web UI shows as the workflow's current
// details: what happened, and exactly what to do next.
func (j *journal) details() string {
	var b strings.Builder

	switch j.state {
	case contract.Quarantined:
		heldDetails(&b, j.step, j.quarantine.held)
	case contract.Retrying:
		b.WriteString("**Waiting** (`" + string(j.reason) + "`). " + reason.Text(j.reason).What + "\n\n" + j.detail + ".\n\n" +
			"It is tried again by itself; Pending Activities shows the attempts, the last failure and the next attempt. " +
			"There is nothing to do unless it lasts.")
		if len(j.openToDecision()) > 0 {
			b.WriteString(" Then the console, `mailctl emails`, or here the signals `" + contract.SignalRetry + "` (tries it now), `" +
				contract.SignalEdit + "`, `" + contract.SignalHold + "` and `" + contract.SignalDiscard + "`.")
		}
	case contract.Delivered:
		b.WriteString("**Delivered** to " + j.deliveries.text() + ".")
	case contract.Discarded:
		discardedDetails(&b, j.quarantine.decisions.last, j.ledger.hasRow())
		if len(j.deliveries.delivered()) > 0 {
			b.WriteString(" Before that it was delivered to `" + strings.Join(j.deliveries.delivered(), "`, `") + "`.")
		}
	case contract.Duplicate:
		b.WriteString("**Duplicate.** The ledger knew this event: another workflow processes the email, or has processed it. " +
			"Nothing was sent from here, and there is nothing to do.")
	default:
		b.WriteString("**In progress.** There is nothing to do.")
	}

	if j.trouble != "" {
		b.WriteString("\n\n**" + j.trouble + "**")
	}
	if j.in.Fallback != nil && !j.state.Terminal() {
		b.WriteString("\n\n**Do not terminate this workflow:** until the ledger has a row for the email, nothing else knows of it.")
	}
	return b.String()
}

func discardedDetails(b *strings.Builder, last *contract.Decided, hasRow bool) {
	where := "the ledger"
	if !hasRow {
		where = "this workflow's history"
	}

	b.WriteString("**Discarded.** ")
	if last != nil {
		b.WriteString("By decision: " + reason.Decided(*last) + ". ")
	}
	b.WriteString("The decision is in " + where + ".")
}

func heldDetails(b *strings.Builder, step string, held heldSteps) {
	b.WriteString("**Held for a person** at the step *" + step + "*.\n")
	for _, h := range held {
		for _, one := range h.holds {
			x := reason.Text(one.Reason)
			b.WriteString("\n- `" + string(one.Reason) + "`: " + x.What + " Found: " + strings.TrimSuffix(one.Detail, ".") + ". " + x.Next)
			for _, a := range x.Order {
				if does := x.Does(a); does != "" {
					b.WriteString("\n  - `" + string(a) + "` " + does + ".")
				}
			}
			b.WriteString("\n  - More: `deploy/docs/runbook.md#" + x.Runbook + "`")
		}

		b.WriteString("\n- " + h.times())
		if text := h.approvalsText(); text != "" {
			b.WriteString("\n- **" + text + ".** An approval that is sent from here is recorded and does not count, " +
				"because its sender is only claimed: approve in the console, through the API or with `mailctl`.")
		}
	}

	b.WriteString("\n\n**What to do:** the console, `mailctl emails`, or here: *More Actions*, *Send a Signal*:\n")
	for _, s := range signals {
		if s.action == contract.Held { // it is held
			continue
		}
		b.WriteString("\n- `" + s.name + "`: " + s.description)
	}
	b.WriteString("\n\nInput, if you like: `{\"actor\":\"your name\",\"note\":\"why\"}`; `edit` needs " +
		"`{\"note\":\"why\",\"edit\":{\"to\":[\"a destination\"]}}`, or recipients, headers, charset, drop, fields in place of to. " +
		"It is recorded as what you claim. *Request Cancellation* changes nothing.")
}

// times says since when a step is held, and what comes next.
func (h *heldStep) times() string {
	const layout = "2006-01-02 15:04 UTC"

	text := "Held since " + h.since.UTC().Format(layout) + "."
	if at := h.remindAt(); !at.IsZero() {
		text += " The next reminder is due at " + at.UTC().Format(layout) + "."
	}
	if at := h.deadline(); !at.IsZero() {
		text += " The deadline is " + at.UTC().Format(layout) + ": then the configuration says " + h.plan.AtDeadline + "."
	}
	if h.due {
		text += " Its deadline has passed, and it is kept."
	}
	return text
}
