package authlog

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"mailroom/shared/ledger"
)

// saveUsesEvery is how often uses are saved, and so the precision of what is stored.
const saveUsesEvery = time.Minute

// UseStore persists when secrets were last used.
type UseStore interface {
	// SaveSecretUses stores uses, each secret once. A time before the stored one changes
	// nothing.
	SaveSecretUses(ctx context.Context, uses []ledger.SecretUse) error
}

// secretName is what a stored use is known by.
type secretName struct{ source, ref, scheme string }

// Run saves the secrets that were used, every minute and in one statement, until ctx ends.
// It then saves once more and returns within 3 s. What cannot be saved is saved later; the
// first error, and the first success after it, are logged. Run must be called once.
func (u *KeyUse) Run(ctx context.Context, store UseStore, logger *slog.Logger) {
	ticker := time.NewTicker(saveUsesEvery)
	defer ticker.Stop()
	saved, failing := map[secretName]time.Time{}, false
	save := func() {
		used := u.usedSince(saved)
		err := saveUses(ctx, store, used)
		switch {
		case err != nil && !failing:
			logger.Warn("audit.uses_not_saved", slog.Any("error", err))
		case err == nil && failing:
			logger.Info("audit.uses_saved_again")
		}
		if failing = err != nil; !failing {
			maps.Copy(saved, used)
		}
	}

	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			save()
		case <-ctx.Done():
		}
	}
	save()
}

// usedSince returns the secrets that were used after the times of saved, and when.
func (u *KeyUse) usedSince(saved map[secretName]time.Time) map[secretName]time.Time {
	used := map[secretName]time.Time{}
	for source, keys := range u.sources {
		for number, k := range keys {
			name, at := secretName{source, k.ref, k.scheme}, u.LastUse(source, number)
			if at.After(saved[name]) && at.After(used[name]) {
				used[name] = at
			}
		}
	}
	return used
}

// saveUses saves what was used within writeTimeout, also when ctx has ended.
func saveUses(ctx context.Context, store UseStore, used map[secretName]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	uses := make([]ledger.SecretUse, 0, len(used))
	for name, at := range used {
		uses = append(uses, ledger.SecretUse{Source: name.source, Ref: name.ref, Scheme: name.scheme, UsedAt: at})
	}

	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return store.SaveSecretUses(limit, uses)
}
