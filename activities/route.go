package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/overlay"
)

// RouteLedger is what Route reads of the ledger.
type RouteLedger interface {
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// Router holds the rules. Route is a pure function of its arguments; headers is
// nil unless NeedsHeaders, which does not change while the process lives. Where
// manifest.Overlay names destinations, these are the answer, and what the rules
// hold the mail for beside having no route holds it still.
type Router interface {
	NeedsHeaders() bool
	Route(in contract.RouteInput, manifest *ledger.Manifest, headers []mail.Header) contract.RouteResult
}

// RouteDeps is what Route needs; all of it is required but Now.
type RouteDeps struct {
	Ledger   RouteLedger
	Messages MessageReader
	Rules    Router
	Now      func() time.Time // nil: time.Now
}

// Route is the fourth step of an email.
type Route struct{ deps RouteDeps }

// NewRoute checks that nothing is missing.
func NewRoute(deps RouteDeps) (*Route, error) {
	if deps.Ledger == nil || deps.Messages == nil || deps.Rules == nil {
		return nil, errors.New("route: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Route{deps: deps}, nil
}

// Route names the rules that the mail meets and where they send it. It is
// idempotent: it writes nothing, and a repeat asks the rules again. The ledger
// learns the routes, and which version of the rules gave them, with the next change
// of state. The rules see the mail as its edits make it.
func (s *Route) Route(ctx context.Context, in contract.RouteInput) (out contract.RouteResult, err error) {
	defer settle(ctx, in.Email, &err)
	defer beat(ctx, in.Email.Size)()

	manifest, err := s.deps.Ledger.Manifest(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read manifest: %w", err)
	}
	var headers []mail.Header
	if s.deps.Rules.NeedsHeaders() {
		message, err := s.deps.Messages.Message(ctx, manifest)
		if err != nil {
			return out, fmt.Errorf("read message: %w", err)
		}
		headers = message.Headers
		if manifest.Overlay != nil {
			headers = overlay.Message(*message, *manifest.Overlay).Headers
		}
	}
	if manifest.Overlay != nil {
		edited := overlay.Manifest(*manifest, *manifest.Overlay)
		manifest = &edited
	}
	out = s.deps.Rules.Route(in, manifest, headers)
	out.Routed.AtUnixMilli = s.deps.Now().UnixMilli()
	return out, nil
}
