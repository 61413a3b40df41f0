package operations

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/secret"
)

const (
	// endsSoon is how long before its end a secret is shown as expiring.
	endsSoon = 14 * 24 * time.Hour
	// recently is how long a secret counts as in use after it verified a request, and how
	// far back the failures of the list of sources reach.
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

// KeyUse knows when a secret of a source, numbered from 1, last verified a request of this
// process; the zero time where it has not. Key 0 is a source without secrets.
type KeyUse interface {
	LastUse(source string, key int) time.Time
}

// Uses reads when secrets last verified a request at any ingress, to about a minute.
type Uses interface {
	SecretUses(ctx context.Context, sources []string) ([]ledger.SecretUse, error)
}

// Secrets knows which references cannot be read any more.
type Secrets interface {
	Status() []secret.Status
}

// SourcesDeps is what Sources needs; all but Now is required.
type SourcesDeps struct {
	Failures Failures
	KeyUse   KeyUse
	Uses     Uses
	Secrets  Secrets
	Logger   *slog.Logger
	Now      func() time.Time // nil means time.Now
}

// Sources shows the webhook sources, the use of their secrets, and their failed
// verifications. A secret shows as its reference alone.
type Sources struct {
	configured []config.Source
	deps       SourcesDeps
}

// NewSources shows these sources.
func NewSources(configured []config.Source, deps SourcesDeps) (*Sources, error) {
	if deps.Failures == nil || deps.KeyUse == nil || deps.Uses == nil || deps.Secrets == nil || deps.Logger == nil {
		return nil, errors.New("sources service: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Sources{configured: configured, deps: deps}, nil
}

// Source is a source as it is configured, with its use and failures.
type Source struct {
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
	Limit            SourceLimit `json:"limit"`
	AllowFrom        []string    `json:"allow_from"`
	Secrets          []Secret    `json:"secrets"`
	// LastUsed is when it last accepted a signature, or a request where it verifies
	// nothing; see Secret.LastUsed.
	LastUsed *time.Time `json:"last_used"`
	// Failures24h counts by code; the hour in which the 24 begin counts whole. It is null
	// where the ledger does not answer.
	Failures24h map[string]int64 `json:"failures_24h"`
}

// SourceLimit shows the limits of a source; 0 is none.
type SourceLimit struct {
	Rate     int `json:"rate"`
	Burst    int `json:"burst"`
	InFlight int `json:"in_flight"`
}

// List returns the sources that are Visible to callers of tenants. It also answers while the ledger is
// unavailable.
func (s *Sources) List(ctx context.Context, tenants []string) []Source {
	now := s.deps.Now()
	shown := Visible(Config{Sources: s.configured}, tenants).Sources
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	counts := s.countFailures(ctx, now)
	view := secretView{now: now, uses: s.lastUses(ctx, shown), health: map[string]secret.Status{}}
	for _, status := range s.deps.Secrets.Status() {
		view.health[status.Ref] = status
	}

	rows := make([]Source, 0, len(shown))
	for _, source := range shown {
		row := newSource(source)
		if len(source.Secrets) == 0 {
			row.LastUsed = s.lastUse(source.Name, config.KeyRef{}, 0, view.uses)
		}
		for i := range source.Secrets {
			k := s.newSecret(source, i, view)
			row.Secrets = append(row.Secrets, k)
			row.LastUsed = newer(row.LastUsed, k.LastUsed)
		}
		if counts != nil {
			row.Failures24h = map[string]int64{}
			if own := counts[source.Name]; own != nil {
				row.Failures24h = own
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func newSource(s config.Source) Source {
	return Source{
		Name: s.Name, Path: s.Path, Profile: s.Profile, Answers: cmp.Or(s.Answers, s.Profile), Tenant: s.Tenant,
		Schemes: listOf(s.Schemes), Strict: s.Strict, Disabled: s.Disabled, Insecure: s.Insecure,
		MaxBody: int64(s.MaxBody), ToleranceSeconds: int64(s.Tolerance / time.Second),
		Limit: SourceLimit(s.Limit), AllowFrom: listOf(s.AllowFrom), Secrets: make([]Secret, 0, len(s.Secrets)),
	}
}

// listOf returns a list that JSON never shows as null.
func listOf(list []string) []string { return append([]string{}, list...) }

// countFailures returns nil where the ledger does not answer.
func (s *Sources) countFailures(ctx context.Context, now time.Time) map[string]map[string]int64 {
	counts, err := s.deps.Failures.CountVerificationFailures(ctx, now.Add(-recently))
	if err != nil {
		s.deps.Logger.Warn("operator.failures_not_counted", slog.Any("error", err))
		return nil
	}
	return counts
}

// FailuresPage is the failed verifications of a source since a time. More says that there
// are older ones, which a larger limit or another since would show.
type FailuresPage struct {
	Source   string                       `json:"source"`
	Since    time.Time                    `json:"since"`
	Failures []ledger.VerificationFailure `json:"failures"`
	More     bool                         `json:"more"`
}

// ListFailures returns which verifications of a source failed, at all ingresses, since a
// time; zero means 24 hours ago. The limit is from 1 to ledger.MaxFailures. What happened
// within the last seconds may be missing. The caller needs the role least in the source's
// tenant; a source of another tenant is not found.
func (s *Sources) ListFailures(ctx context.Context, who access.Identity, least access.Role, name string, since time.Time, limit int) (FailuresPage, error) {
	const missing = "there is no such source"
	at := slices.IndexFunc(s.configured, func(source config.Source) bool { return source.Name == name })
	if at < 0 {
		return FailuresPage{}, fault.New(fault.NotFound, missing)
	}
	if err := who.Require(s.configured[at].Tenant, least, missing); err != nil {
		return FailuresPage{}, err
	}

	if since.IsZero() {
		since = s.deps.Now().Add(-recently)
	}
	rows, err := s.deps.Failures.VerificationFailures(ctx, ledger.FailureFilter{Source: name, Since: since, Limit: limit + 1})
	if err != nil {
		return FailuresPage{}, err
	}
	shown := append([]ledger.VerificationFailure{}, rows[:min(len(rows), limit)]...)
	return FailuresPage{Source: name, Since: since.UTC(), Failures: shown, More: len(rows) > limit}, nil
}
