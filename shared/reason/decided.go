package reason

import (
	"time"

	"mailroom/shared/contract"
)

// Decided says who decided what, when and which way: what somebody is told who
// comes second.
func Decided(d contract.Decided) string {
	actor := d.Actor
	if actor == "" {
		actor = "somebody"
	}
	return actor + " " + Past(d.Action) + " it at " +
		time.UnixMilli(d.AtUnixMilli).UTC().Format("15:04 UTC (2 Jan 2006)") + " " + Through(d.Via)
}

// Past gives an action as what was done: "approved".
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
	}
	return "decided about"
}

// Through says which way a decision came: "through the console".
func Through(v contract.Via) string {
	switch v {
	case contract.ViaAPI:
		return "through the API"
	case contract.ViaConsole:
		return "through the console"
	case contract.ViaMailctl:
		return "through mailctl"
	case contract.ViaReplay:
		return "as one of many"
	case contract.ViaSystem:
		return "because what was away is back"
	case contract.ViaPolicy:
		return "by the policy for its deadline"
	case contract.ViaUpdate:
		return "by an update sent to Temporal"
	case contract.ViaSignal:
		return "by a signal sent to Temporal"
	}
	return "in an unknown way"
}
