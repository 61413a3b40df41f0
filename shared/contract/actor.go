package contract

import (
	"slices"
	"strings"
)

// The actors under whose names the system itself acts.
const (
	ActorSystem  = "mailroom" // releases emails that an outage held, removes content
	ActorPolicy  = "policy"   // decides at a deadline that the configuration sets
	ActorUnnamed = "unnamed"  // sent a decision straight to Temporal, and claimed no name
)

// claimedSuffix marks the names that came without our authentication.
const claimedSuffix = " (claimed)"

// Claimed returns a name that came without our authentication as decisions record it.
func Claimed(name string) string {
	if strings.TrimSpace(name) == "" {
		name = ActorUnnamed
	}
	return name + claimedSuffix
}

// ReservedActor reports whether a person or token must not have this name, in any case:
// the system acts under it, or it looks like a name that is merely claimed. Of a name
// with an @ the part before it counts.
func ReservedActor(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	local, _, _ := strings.Cut(name, "@")
	return slices.Contains([]string{ActorSystem, ActorPolicy, ActorUnnamed, "system"}, local) ||
		strings.HasSuffix(name, strings.TrimSpace(claimedSuffix))
}

// PersonOf returns what two people are told apart by: the name without regard to case.
func PersonOf(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
