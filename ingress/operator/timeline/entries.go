package timeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// stepEntries describes the steps that the row of an email records.
func stepEntries(h *ledger.History) []ledger.TimelineEntry {
	e := &h.Email
	out := []ledger.TimelineEntry{{
		At: e.ReceivedAt, Kind: ledger.TimeReceived, Title: "Received", Detail: fmt.Sprintf("%d bytes, SHA-256 %s", e.Size, e.SHA256),
	}}
	out = append(out, verifiedEntry(e)...)

	add := func(at *time.Time, kind ledger.TimelineKind, title string, details ...string) {
		if at != nil {
			out = append(out, stepEntry(*at, kind, title, details...))
		}
	}

	attachments, verdicts := countVerdicts(h.Verdicts)
	add(e.StoredAt, ledger.TimeStored, "Stored", amount(attachments, "attachment"), e.Parser)
	add(e.InspectedAt, ledger.TimeInspected, "Inspected", verdicts, rawView(e.RawView), e.Scanner, e.ScannerDatabase)
	add(e.RoutedAt, ledger.TimeRouted, "Routed", strings.Join(e.Routes, ", "), prefixed("rules ", e.RulesVersion),
		untaken(e.Unmatched))
	if e.State == contract.Delivered {
		add(e.ClosedAt, ledger.TimeClosed, "Delivered")
	}
	return out
}

// stepEntry returns the entry of a step; empty details are left out.
func stepEntry(at time.Time, kind ledger.TimelineKind, title string, details ...string) ledger.TimelineEntry {
	details = slices.DeleteFunc(details, func(d string) bool { return d == "" })
	return ledger.TimelineEntry{At: at, Kind: kind, Title: title, Detail: strings.Join(details, "; ")}
}

// untaken names the recipients that no rule took, the first of many.
func untaken(recipients []string) string {
	more := ""
	if n := len(recipients) - ledger.ListedRecipients; n > 0 {
		recipients, more = recipients[:ledger.ListedRecipients], fmt.Sprintf(" and %d more", n)
	}
	return prefixed("no rule takes ", strings.Join(recipients, ", ")) + more
}

// pastEntry describes a run of a step that was repeated later.
func pastEntry(p ledger.PastStep) ledger.TimelineEntry {
	switch p.Step {
	case ledger.TimeStored:
		return stepEntry(p.At, p.Step, "Stored", p.Tool)
	case ledger.TimeInspected:
		return stepEntry(p.At, p.Step, "Inspected", rawView(p.RawView), p.Tool, p.ToolDatabase)
	default:
		return stepEntry(p.At, ledger.TimeRouted, "Routed", strings.Join(p.Routes, ", "), prefixed("rules ", p.Tool))
	}
}

func verifiedEntry(e *ledger.EmailHistory) []ledger.TimelineEntry {
	out := ledger.TimelineEntry{At: e.ReceivedAt, Kind: ledger.TimeVerified}
	switch {
	case e.VerifiedScheme == "":
		return nil
	case e.VerifiedKey == 0:
		out.Title, out.Detail = "Not verified", "the source asks for no signature"
	default:
		out.Title = "Verified"
		out.Detail = fmt.Sprintf("%s with key %d (%s)", e.VerifiedScheme, e.VerifiedKey, e.VerifiedRef)
	}
	return []ledger.TimelineEntry{out}
}

// countVerdicts returns the number of attachments, and how many have each verdict.
func countVerdicts(list []ledger.VerdictCount) (attachments int, text string) {
	var parts []string
	for _, v := range list {
		attachments += v.Count
		if v.Verdict != "" {
			parts = append(parts, strconv.Itoa(v.Count)+" "+string(v.Verdict))
		}
	}
	return attachments, strings.Join(parts, ", ")
}

// rawView says what the inspection of the raw mail as a whole found.
func rawView(v contract.RawView) string {
	switch v {
	case "":
		return ""
	case contract.RawAbsent:
		return "no raw mail came, the parts were scanned"
	case contract.RawTooLarge:
		return "raw mail larger than the scanner takes, its parts were scanned"
	default:
		return "raw mail " + string(v)
	}
}

func attemptEntry(a ledger.AttemptRow) ledger.TimelineEntry {
	took := fmt.Sprintf(" after %d ms", a.TookMS)
	cause := fault.Cause(a.Code)

	detail := "no answer" + took
	switch sentence := cause.Sentence(); {
	case a.Status != 0:
		detail = "HTTP " + strconv.Itoa(a.Status) + took
	case sentence != "" && !cause.Called():
		detail = sentence
	case sentence != "":
		detail = sentence + ", " + strings.TrimSpace(took)
	}

	detail += prefixed("; ", a.Code) + prefixed("; for ", a.Effect)
	return ledger.TimelineEntry{
		At: a.At, Kind: ledger.TimeAttempt, Title: "Attempt " + strconv.Itoa(a.Number), Detail: detail,
		Destination: a.Destination, Code: a.Code,
	}
}

func deliveryEntry(d ledger.DeliveryEnd) ledger.TimelineEntry {
	e := ledger.TimelineEntry{At: d.At, Kind: ledger.TimeDelivery, Detail: d.LastError, Destination: d.Destination}
	switch d.State {
	case ledger.Delivered:
		e.Title, e.Detail = "Delivered", "after "+amount(d.Attempts, "attempt")
	case ledger.Rejected:
		e.Title = "Refused"
	default:
		e.Title = "Effect unknown"
	}
	return e
}

func stateEntry(s ledger.StateChange) ledger.TimelineEntry {
	e := ledger.TimelineEntry{At: s.At, Detail: string(s.Reason) + prefixed(": ", s.Detail)}
	switch s.State {
	case contract.Quarantined:
		e.Kind, e.Title = ledger.TimeHeld, "Held"
	case contract.Retrying:
		e.Kind, e.Title = ledger.TimeWaiting, "Waiting"
	default:
		e.Kind, e.Title = ledger.TimeClosed, strings.ToUpper(string(s.State[:1]))+string(s.State[1:])
	}
	return e
}

func decisionEntry(d ledger.DecisionMade) ledger.TimelineEntry {
	title := "Decided: " + string(d.Action)
	if d.Reason != "" {
		title += " (" + string(d.Reason) + ")"
	}
	return ledger.TimelineEntry{At: d.At, Kind: ledger.TimeDecision, Title: title, Detail: d.Note, Actor: d.Actor, Via: d.Via}
}

func reminderEntry(r ledger.ReminderSent) ledger.TimelineEntry {
	e := ledger.TimelineEntry{At: r.At, Kind: ledger.TimeReminder}
	switch {
	case r.Deadline:
		e.Title = "Deadline passed, still held"
	case r.Level >= contract.AttentionEscalated:
		e.Title = "Escalated (reminder " + strconv.Itoa(r.Number) + ")"
	default:
		e.Title = "Reminder " + strconv.Itoa(r.Number)
	}
	e.Detail = strings.Join(r.Reasons, ", ") + prefixed(" for ", formatDuration(r.At.Sub(r.Since)))
	return e
}

func editEntry(e ledger.EditMade) ledger.TimelineEntry {
	title := "Edited"
	if !e.Applied {
		title = "Edit not carried out"
	}
	return ledger.TimelineEntry{At: e.At, Kind: ledger.TimeEdit, Title: title, Detail: strings.Join(e.Fields, ", "), Actor: e.Actor}
}

func batchEntry(b ledger.BatchPart) ledger.TimelineEntry {
	title := "Replay " + strconv.FormatInt(b.ReplayID, 10)
	if b.Action != ledger.ActionReplay {
		title += " (" + string(b.Action) + ")"
	}

	details := []string{"from " + ledger.ReplayFrom(b.FromStep)}
	if b.NewEffect {
		details = append(details, "with a new effect")
	}
	switch b.State {
	case ledger.ItemClaimed:
		details = append(details, "under way")
	case ledger.ItemDone:
	default:
		details = append(details, string(b.State)+prefixed(": ", strings.ReplaceAll(string(b.Code), "_", " ")))
	}
	return ledger.TimelineEntry{
		At: b.At, Kind: ledger.TimeReplay, Title: title, Detail: strings.Join(details, "; "), Actor: b.Actor, Via: b.Via,
	}
}

// signalEntry describes signals that a workflow does not know. Their sender was not told.
func signalEntry(s ledger.UnknownSignals) ledger.TimelineEntry {
	e := ledger.TimelineEntry{At: s.At, Kind: ledger.TimeSignal, Title: "Unknown signal " + s.Name}
	if s.Name == "" {
		e.Title = "Signals with more unknown names"
	}

	e.Detail = "it changed nothing: there is no such signal; the signals are " + strings.Join(contract.Signals, ", ")
	if s.Count > 1 {
		e.Detail += fmt.Sprintf("; came at least %d times, last seen %s", s.Count, s.LastAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return e
}

// formatDuration writes a duration in its two largest units, such as 7d4h; it is
// empty below a second.
func formatDuration(d time.Duration) string {
	units := []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}
	text, shown := "", 0
	for i, unit := range units {
		n := d / unit
		d -= n * unit
		if n > 0 && shown < 2 {
			text += strconv.Itoa(int(n)) + "dhms"[i:i+1]
		}
		if n > 0 || shown > 0 {
			shown++
		}
	}
	return text
}

func amount(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
