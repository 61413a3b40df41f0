package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

func attemptEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeAttempt}
	var effect, code string
	var number, status int
	var took int64
	err := row.Scan(&e.Destination, &effect, &number, &e.At, &took, &status, &code)
	e.Title = "Attempt " + strconv.Itoa(number)
	answer := "no answer"
	if status != 0 {
		answer = "HTTP " + strconv.Itoa(status)
	}
	e.Detail = fmt.Sprintf("%s after %d ms", answer, took)
	if code != "" {
		e.Detail += "; " + code
	}
	if effect != "" {
		e.Detail += "; for " + effect
	}
	return e, err
}

func legEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeLeg}
	var state ledger.DeliveryState
	var attempts int
	err := row.Scan(&e.Destination, &state, &attempts, &e.Detail, &e.At)
	switch state {
	case ledger.Delivered:
		e.Title, e.Detail = "Delivered", "after "+amount(attempts, "attempt")
	case ledger.Rejected:
		e.Title = "Refused"
	default:
		e.Title = "Effect unknown"
	}
	return e, err
}

func stateEntry(row pgx.CollectableRow) (e ledger.TimelineEntry, err error) {
	var state contract.State
	var reason contract.Reason
	var detail string
	err = row.Scan(&e.At, &state, &reason, &detail)
	switch state {
	case contract.Quarantined:
		e.Kind, e.Title = ledger.TimeHeld, "Held"
	case contract.Retrying:
		e.Kind, e.Title = ledger.TimeWaiting, "Waiting"
	default:
		e.Kind, e.Title = ledger.TimeClosed, strings.ToUpper(string(state[:1]))+string(state[1:])
	}
	e.Detail = string(reason)
	if detail != "" {
		e.Detail += ": " + detail
	}
	return e, err
}

func decisionEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeDecision}
	var action contract.Action
	var reason contract.Reason
	err := row.Scan(&e.At, &action, &e.Actor, &e.Via, &e.Detail, &reason)
	e.Title = "Decided: " + string(action)
	if reason != "" {
		e.Title += " (" + string(reason) + ")"
	}
	return e, err
}

func reminderEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeReminder}
	var level, number int
	var deadline bool
	var since time.Time
	var reasons []string
	err := row.Scan(&e.At, &level, &number, &deadline, &since, &reasons)
	switch {
	case deadline:
		e.Title = "Deadline passed, still held"
	case level >= contract.AttentionEscalated:
		e.Title = "Escalated (reminder " + strconv.Itoa(number) + ")"
	default:
		e.Title = "Reminder " + strconv.Itoa(number)
	}
	e.Detail = strings.Join(reasons, ", ") + prefixed(" for ", lasting(e.At.Sub(since)))
	return e, err
}

// lasting tells a time in its two largest units, such as 7d4h; empty below a second.
func lasting(d time.Duration) string {
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

func editEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeEdit, Title: "Edited"}
	var applied bool
	var fields []string
	err := row.Scan(&e.At, &e.Actor, &applied, &fields)
	e.Detail = strings.Join(fields, ", ")
	if !applied {
		e.Title = "Edit not carried out"
	}
	return e, err
}

func replayEntry(row pgx.CollectableRow) (ledger.TimelineEntry, error) {
	e := ledger.TimelineEntry{Kind: ledger.TimeReplay}
	var id int64
	var action contract.Action
	var from contract.Step
	var again bool
	var state ledger.ReplayItemState
	var code ledger.ReplayCode
	err := row.Scan(&e.At, &id, &e.Actor, &e.Via, &action, &from, &again, &state, &code)
	e.Title = "Replay " + strconv.FormatInt(id, 10)
	if action != ledger.ActionReplay {
		e.Title += " (" + string(action) + ")"
	}
	details := []string{"from " + ledger.ReplayFrom(from)}
	if again {
		details = append(details, "with a new effect")
	}
	switch state {
	case ledger.ItemClaimed:
		details = append(details, "under way")
	case ledger.ItemDone:
	default:
		details = append(details, string(state)+prefixed(": ", strings.ReplaceAll(string(code), "_", " ")))
	}
	e.Detail = strings.Join(details, "; ")
	return e, err
}
