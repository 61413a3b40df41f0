package operations

import (
	"slices"
	"time"

	"mailroom/shared/config"
	"mailroom/shared/secret"
)

// SecretState is the state of a secret of a source. A state further up wins.
type SecretState string

// The states of a secret.
const (
	SecretExpired   SecretState = "expired"   // its end has passed: it verifies nothing
	SecretAbsent    SecretState = "absent"    // its reference has no value yet: it verifies nothing
	SecretWithdrawn SecretState = "withdrawn" // its store said for the grace period that it does not exist: it verifies nothing
	SecretGone      SecretState = "gone"      // its store says that it does not exist: it verifies until VerifiesUntil
	SecretFailing   SecretState = "failing"   // it cannot be read any more; the last text is used
	SecretExpiring  SecretState = "expiring"  // it ends within 14 days
	SecretPrevious  SecretState = "previous"  // it has an end, and one above it serves the same scheme
	SecretCurrent   SecretState = "current"
)

// Secret shows a secret of a source by its reference and never its text.
type Secret struct {
	Key     int         `json:"key"` // its number in metrics
	Ref     string      `json:"ref"`
	Scheme  string      `json:"scheme"` // empty: every scheme of the source
	Expires *time.Time  `json:"expires"`
	State   SecretState `json:"state"`
	// VerifiesUntil is when a secret that is gone stops verifying.
	VerifiesUntil *time.Time `json:"verifies_until,omitempty"`
	// LastUsed is when it last verified a request of this ingress process; null
	// where it has not since the start. Other ingresses know of others.
	LastUsed *time.Time `json:"last_used"`
	// InUse is whether that was within the last 24 hours.
	InUse bool `json:"in_use"`
}

// Still reports whether a secret is in use that should have been replaced by now.
func (k Secret) Still() bool {
	return k.InUse && (k.State == SecretPrevious || k.State == SecretExpiring)
}

func (s *Sources) newSecret(source config.Source, i int, health map[string]secret.Status, now time.Time) Secret {
	k := source.Secrets[i]
	row := Secret{Key: source.KeyNumber(i), Ref: k.Ref, Scheme: k.Scheme, State: stateOf(source.Secrets, i, health, now)}
	if !k.Expires.IsZero() {
		expires := k.Expires.UTC()
		row.Expires = &expires
	}
	if status := health[k.Ref]; status.Gone {
		until := status.VerifiesUntil.UTC()
		row.VerifiesUntil = &until
	}
	if last := s.deps.KeyUse.LastUse(source.Name, source.KeyNumber(i)); !last.IsZero() {
		row.LastUsed = &last
		row.InUse = now.Sub(last) < recently
	}
	return row
}

// stateOf returns the state of the secret at index i.
func stateOf(secrets []config.KeyRef, i int, health map[string]secret.Status, now time.Time) SecretState {
	k := secrets[i]
	ends := !k.Expires.IsZero()
	status, known := health[k.Ref]
	follows := slices.ContainsFunc(secrets[:i], func(above config.KeyRef) bool {
		return above.Scheme == "" || k.Scheme == "" || above.Scheme == k.Scheme
	})

	switch {
	case ends && !now.Before(k.Expires):
		return SecretExpired
	case k.Key.Reveal() == "" || known && status.Updated.IsZero(): // its value is awaited
		return SecretAbsent
	case status.Withdrawn:
		return SecretWithdrawn
	case status.Gone:
		return SecretGone
	case status.Failing:
		return SecretFailing
	case ends && k.Expires.Sub(now) <= endsSoon:
		return SecretExpiring
	case ends && follows:
		return SecretPrevious
	}

	return SecretCurrent
}
