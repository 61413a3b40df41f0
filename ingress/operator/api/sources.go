package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/secret"
)

const (
	// endsSoon is how long before its end a secret is shown as expiring.
	endsSoon = 14 * 24 * time.Hour
	// recently is how long a secret counts as in use after it verified a request,
	// and how far back the failures of the list of sources reach.
	recently = 24 * time.Hour
	// countTimeout bounds what the list of sources waits for the ledger.
	countTimeout = 2 * time.Second
)

// Failures reads which verifications failed.
type Failures interface {
	// VerificationFailures returns those of one source, newest hour first.
	VerificationFailures(ctx context.Context, f ledger.FailureFilter) ([]ledger.VerificationFailure, error)
	// CountVerificationFailures counts them by source and code.
	CountVerificationFailures(ctx context.Context, since time.Time) (map[string]map[string]int64, error)
}

// KeyUse knows when a secret of a source, numbered from 1, last verified a
// request of this process; the zero time where it has not.
type KeyUse interface {
	LastUse(source string, key int) time.Time
}

// Secrets knows which references cannot be read any more.
type Secrets interface {
	Status() []secret.Status
}

// secretState is the state of a secret of a source. A state further up wins.
type secretState string

// The states of a secret.
const (
	secretExpired   secretState = "expired"   // its end has passed: it verifies nothing
	secretAbsent    secretState = "absent"    // its reference has no value yet: it verifies nothing
	secretWithdrawn secretState = "withdrawn" // its store said for the grace period that it does not exist: it verifies nothing
	secretGone      secretState = "gone"      // its store says that it does not exist: it verifies until VerifiesUntil
	secretFailing   secretState = "failing"   // it cannot be read any more; the last text is used
	secretExpiring  secretState = "expiring"  // it ends within 14 days
	secretPrevious  secretState = "previous"  // it has an end, and one above it serves the same scheme
	secretCurrent   secretState = "current"
)

// sources shows the webhook sources and their failed verifications.
type sources struct {
	configured []config.Source
	failures   Failures
	keyUse     KeyUse
	secrets    Secrets
	logger     *slog.Logger
	now        func() time.Time
}

// sourceRow is a source as it is configured, with its use and failures.
type sourceRow struct {
	Name             string      `json:"name"`
	Path             string      `json:"path"`
	Profile          string      `json:"profile"`
	Answers          string      `json:"answers"`
	Tenant           string      `json:"tenant"`
	Schemes          []string    `json:"schemes"`
	Strict           bool        `json:"strict"`
	Disabled         bool        `json:"disabled"`
	Insecure         bool        `json:"insecure"`
	MaxBody          int64       `json:"max_body"` // bytes
	ToleranceSeconds int64       `json:"tolerance_seconds"`
	Limit            limitRow    `json:"limit"`
	AllowFrom        []string    `json:"allow_from"`
	Secrets          []secretRow `json:"secrets"`
	// Failures24h counts by code; the hour in which the 24 begin
	// counts whole. It is null where the ledger does not answer.
	Failures24h map[string]int64 `json:"failures_24h"`
}

// limitRow shows the limits of a source; 0 is none.
type limitRow struct {
	Rate     int `json:"rate"`
	Burst    int `json:"burst"`
	InFlight int `json:"in_flight"`
}

// secretRow shows a secret by its reference and never its text.
type secretRow struct {
	Key     int         `json:"key"` // its number in metrics
	Ref     string      `json:"ref"`
	Scheme  string      `json:"scheme"` // empty: every scheme of the source
	Expires *time.Time  `json:"expires"`
	State   secretState `json:"state"`
	// VerifiesUntil is when a secret that is gone stops verifying.
	VerifiesUntil *time.Time `json:"verifies_until,omitempty"`
	// LastUsed is when it last verified a request of this ingress process; null
	// where it has not since the start. Other ingresses know of others.
	LastUsed *time.Time `json:"last_used"`
	// InUse is whether that was within the last 24 hours.
	InUse bool `json:"in_use"`
}

// list shows the configured sources. It also answers while the ledger is unavailable.
func (s *sources) list(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	now := s.now()
	counts := s.countFailures(c.Request.Context(), now)
	health := map[string]secret.Status{}
	for _, status := range s.secrets.Status() {
		health[status.Ref] = status
	}

	rows := make([]sourceRow, 0, len(s.configured))
	for _, source := range s.configured {
		if caller(c).In(source.Tenant) < access.Viewer {
			continue
		}
		row := newSourceRow(source)
		for i := range source.Secrets {
			row.Secrets = append(row.Secrets, s.newSecretRow(source, i, health, now))
		}
		if counts != nil {
			row.Failures24h = map[string]int64{}
			if own := counts[source.Name]; own != nil {
				row.Failures24h = own
			}
		}
		rows = append(rows, row)
	}
	c.JSON(http.StatusOK, map[string]any{"sources": rows})
	return nil
}

func newSourceRow(s config.Source) sourceRow {
	return sourceRow{
		Name: s.Name, Path: s.Path, Profile: s.Profile, Answers: cmp.Or(s.Answers, s.Profile), Tenant: s.Tenant,
		Schemes: listOf(s.Schemes), Strict: s.Strict, Disabled: s.Disabled, Insecure: s.Insecure,
		MaxBody: int64(s.MaxBody), ToleranceSeconds: int64(s.Tolerance / time.Second),
		Limit: limitRow(s.Limit), AllowFrom: listOf(s.AllowFrom), Secrets: make([]secretRow, 0, len(s.Secrets)),
	}
}

// listOf returns a list that JSON never shows as null.
func listOf(list []string) []string { return append([]string{}, list...) }

func (s *sources) newSecretRow(source config.Source, i int, health map[string]secret.Status, now time.Time) secretRow {
	k := source.Secrets[i]
	row := secretRow{Key: source.KeyNumber(i), Ref: k.Ref, Scheme: k.Scheme, State: stateOf(source.Secrets, i, health, now)}
	if !k.Expires.IsZero() {
		expires := k.Expires.UTC()
		row.Expires = &expires
	}
	if status := health[k.Ref]; status.Gone {
		until := status.VerifiesUntil.UTC()
		row.VerifiesUntil = &until
	}
	if last := s.keyUse.LastUse(source.Name, source.KeyNumber(i)); !last.IsZero() {
		row.LastUsed = &last
		row.InUse = now.Sub(last) < recently
	}
	return row
}

// stateOf returns the state of the secret at index i.
func stateOf(secrets []config.KeyRef, i int, health map[string]secret.Status, now time.Time) secretState {
	k := secrets[i]
	ends := !k.Expires.IsZero()
	status, known := health[k.Ref]
	follows := slices.ContainsFunc(secrets[:i], func(above config.KeyRef) bool {
		return above.Scheme == "" || k.Scheme == "" || above.Scheme == k.Scheme
	})

	switch {
	case ends && !now.Before(k.Expires):
		return secretExpired
	case k.Key.Reveal() == "" || known && status.Updated.IsZero(): // its value is awaited
		return secretAbsent
	case status.Withdrawn:
		return secretWithdrawn
	case status.Gone:
		return secretGone
	case status.Failing:
		return secretFailing
	case ends && k.Expires.Sub(now) <= endsSoon:
		return secretExpiring
	case ends && follows:
		return secretPrevious
	}

	return secretCurrent
}

// countFailures returns nil where the ledger does not answer.
func (s *sources) countFailures(ctx context.Context, now time.Time) map[string]map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	counts, err := s.failures.CountVerificationFailures(ctx, now.Add(-recently))
	if err != nil {
		s.logger.Warn("operator.failures_not_counted", slog.Any("error", err))
		return nil
	}
	return counts
}

// failuresPage is the answer about failed verifications. More says that there
// are older ones, which a larger limit or another since would show.
type failuresPage struct {
	Source   string                       `json:"source"`
	Since    time.Time                    `json:"since"`
	Failures []ledger.VerificationFailure `json:"failures"`
	More     bool                         `json:"more"`
}

// listFailures shows which verifications of a source failed, at all ingresses,
// since a time (RFC 3339; default: 24 hours ago). What happened within the last
// seconds may be missing.
func (s *sources) listFailures(c *gin.Context) error {
	const missing = "there is no such source"
	name, err := pathValue(c, "name")
	at := slices.IndexFunc(s.configured, func(source config.Source) bool { return source.Name == name })
	if err != nil || at < 0 {
		return fault.New(fault.NotFound, missing)
	}
	if err := caller(c).Require(s.configured[at].Tenant, leastOf(c), missing); err != nil {
		return err
	}

	q, err := parameters(c, "since", "limit")
	if err != nil {
		return err
	}

	since, limit := s.now().Add(-recently).UTC(), ledger.DefaultFailures
	if q["since"] != "" {
		if since, err = time.Parse(time.RFC3339, q["since"]); err != nil {
			return fault.New(fault.RequestInvalid, "since must be a time such as 2026-11-01T10:00:00Z")
		}
	}

	if q["limit"] != "" {
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > ledger.MaxFailures {
			return fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxFailures)
		}
	}

	rows, err := s.failures.VerificationFailures(c.Request.Context(),
		ledger.FailureFilter{Source: name, Since: since, Limit: limit + 1})
	if err != nil {
		return err
	}

	shown := append([]ledger.VerificationFailure{}, rows[:min(len(rows), limit)]...)
	c.JSON(http.StatusOK, failuresPage{Source: name, Since: since.UTC(), Failures: shown, More: len(rows) > limit})
	return nil
}
