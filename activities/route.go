package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// RouteLedger is what Route reads and writes of the ledger.
type RouteLedger interface {
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	// SaveLeftOut records which recipients belong to no domain of the tenant, and which
	// no rule takes.
	SaveLeftOut(ctx context.Context, emailID int64, foreign, unmatched []string) error
}

// Router holds the rules. Its methods are pure functions of their arguments;
// message is nil unless NeedsHeaders, which does not change while the process lives.
// manifest and message are as they came: the edits in manifest.Overlay are laid over
// them by Route. No answer names a destination that does not serve the tenant.
type Router interface {
	NeedsHeaders() bool
	Route(in contract.RouteInput, manifest *ledger.Manifest, message *mail.Message) contract.RouteResult
	// Foreign returns the recipients, edits laid over them, that no rule is asked
	// about; nil where there are none.
	Foreign(email contract.Email, manifest *ledger.Manifest) []string
	// Unmatched returns the recipients that no rule takes while one takes another; nil
	// where there are none.
	Unmatched(in contract.RouteInput, manifest *ledger.Manifest, message *mail.Message) []string
}

// RouteDeps is what Route needs; all of it is required but Now.
type RouteDeps struct {
	Ledger   RouteLedger
	Messages MessageReader
	Rules    Router
	// CountUnmatched counts recipients of a tenant that no rule takes. An attempt that is
	// repeated, because the ledger did not answer, counts them again.
	CountUnmatched func(tenant string, recipients int)
	Now            func() time.Time // nil: time.Now
}

// Route is the step that finds the destinations of an email.
type Route struct{ deps RouteDeps }

// NewRoute checks that nothing is missing.
func NewRoute(deps RouteDeps) (*Route, error) {
	if deps.Ledger == nil || deps.Messages == nil || deps.Rules == nil || deps.CountUnmatched == nil {
		return nil, errors.New("route: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Route{deps: deps}, nil
}

// Route names the rules that the mail meets and where they send it. It is
// idempotent: a repeat asks the rules again. The ledger learns the routes, and which
// version of the rules they come from, with the next change of state; recipients outside
// the tenant's domains and those that no rule takes, which few mails have, are saved here.
// The rules see the mail as its edits make it.
func (s *Route) Route(ctx context.Context, in contract.RouteInput) (out contract.RouteResult, err error) {
	defer translateError(ctx, in.Email, &err)
	defer startHeartbeat(ctx, in.Email.Size)()

	manifest, err := s.deps.Ledger.Manifest(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read manifest: %w", err)
	}
	var message *mail.Message
	if s.deps.Rules.NeedsHeaders() {
		if message, err = s.deps.Messages.Message(ctx, manifest); err != nil {
			return out, fmt.Errorf("read message: %w", err)
		}
	}

	foreign, unmatched := s.deps.Rules.Foreign(in.Email, manifest), s.deps.Rules.Unmatched(in, manifest, message)
	known := slices.Equal(unmatched, manifest.Unmatched)
	if !known || !slices.Equal(foreign, manifest.Foreign) {
		if err := s.deps.Ledger.SaveLeftOut(ctx, in.Email.ID, foreign, unmatched); err != nil {
			return out, fmt.Errorf("save recipients that are left out: %w", err)
		}
	}
	if !known && len(unmatched) > 0 {
		s.deps.CountUnmatched(in.Email.Tenant, len(unmatched))
	}

	out = s.deps.Rules.Route(in, manifest, message)
	out.Routed.AtUnixMilli = s.deps.Now().UnixMilli()
	return out, nil
}
