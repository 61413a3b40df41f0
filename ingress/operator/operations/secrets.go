package operations

import (
	"context"
	"log/slog"
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
	// LastUsed is when it last verified a request: at this ingress at once, at others and
	// before a restart to about a minute. It is null where it has not, and where the
	// ledger does not answer and this ingress has not seen it.
	LastUsed *time.Time `json:"last_used"`
	// InUse is whether that was within the last 24 hours.
	InUse bool `json:"in_use"`
}

// Still reports whether a secret is in use that should have been replaced by now.
func (k Secret) Still() bool {
	return k.InUse && (k.State == SecretPrevious || k.State == SecretExpiring)
}

// secretName is what the use of a secret is stored under.
type secretName struct{ source, ref, scheme string }

// secretView is what is known about secrets while a list of sources is made.
type secretView struct {
	now    time.Time
	health map[string]secret.Status // by reference
	uses   map[secretName]time.Time
}

// lastUses returns nil where the ledger does not answer.
func (s *Sources) lastUses(ctx context.Context, sources []config.Source) map[secretName]time.Time {
	names := make([]string, len(sources))
	for i, source := range sources {
		names[i] = source.Name
	}
	stored, err := s.deps.Uses.SecretUses(ctx, names)
	if err != nil {
		s.deps.Logger.Warn("operator.uses_not_read", slog.Any("error", err))
		return nil
	}

	uses := make(map[secretName]time.Time, len(stored))
	for _, u := range stored {
		uses[secretName{u.Source, u.Ref, u.Scheme}] = u.UsedAt
	}
	return uses
}

// lastUse returns the last use at any ingress, or nil.
func (s *Sources) lastUse(source string, k config.KeyRef, key int, uses map[secretName]time.Time) *time.Time {
	here, stored := s.deps.KeyUse.LastUse(source, key), uses[secretName{source, k.Ref, k.Scheme}]
	if stored.After(here) {
		here = stored
	}
	if here.IsZero() {
		return nil
	}
	return &here
}

// newer returns the later of two times; nil is before all.
func newer(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

func (s *Sources) newSecret(source config.Source, i int, view secretView) Secret {
	k := source.Secrets[i]
	row := Secret{Key: source.KeyNumber(i), Ref: k.Ref, Scheme: k.Scheme, State: stateOf(source.Secrets, i, view.health, view.now)}
	if !k.Expires.IsZero() {
		expires := k.Expires.UTC()
		row.Expires = &expires
	}
	if status := view.health[k.Ref]; status.Gone {
		until := status.VerifiesUntil.UTC()
		row.VerifiesUntil = &until
	}
	if row.LastUsed = s.lastUse(source.Name, k, row.Key, view.uses); row.LastUsed != nil {
		row.InUse = view.now.Sub(*row.LastUsed) < recently
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
