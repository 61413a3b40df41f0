package reason

import (
	"time"

	"mailroom/shared/contract"
)

// Decided describes a decision: actor, action, time and way. It is the answer to a
// second decision about the same email.
func Decided(d contract.Decided) string {
	actor := d.Actor
	if actor == "" {
		actor = "an unknown actor"
	}
	return actor + " " + Past(d.Action) + " it at " +
		time.UnixMilli(d.AtUnixMilli).UTC().Format("15:04 UTC (2 Jan 2006)") + " " + Through(d.Via)
}

// Past returns the past tense of an action: "approved".
func Past(a contract.Action) string {
	switch a {
	case contract.Approve:
		return "approved"
	case contract.Discard:
		return "discarded"
	case contract.Retry:
		return "retried"
	case contract.Edited:
		return "edited"
	case contract.Held:
		return "held"
	}
	return "decided about"
}

// Through describes the way that a decision came: "through the console".
func Through(v contract.Via) string {
	switch v {
	case contract.ViaAPI:
		return "through the API"
	case contract.ViaConsole:
		return "through the console"
	case contract.ViaMailctl:
		return "through mailctl"
	case contract.ViaReplay:
		return "in a batch"
	case contract.ViaSystem:
		return "because a dependency recovered"
	case contract.ViaPolicy:
		return "because its deadline passed"
	case contract.ViaUpdate:
		return "by an update sent to Temporal"
	case contract.ViaSignal:
		return "by a signal sent to Temporal"
	}
	return "in an unknown way"
}
