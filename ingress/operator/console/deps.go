package console

import (
	"context"
	"io"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/ledger"
	"mailroom/shared/rules"
)

// Emails reads emails from the ledger.
type Emails interface {
	// ListEmails returns one page, newest first, and the cursor of the next one.
	ListEmails(ctx context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error)
	// FindEmail returns the email of a lookup, the newest where it means several. It is
	// fault.NotFound when there is none.
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	// Body says where the raw body of an email is, stored or not yet.
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// Manifest says where the store step put what; it fails before that step has run.
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	// Timeline returns what happened to an email, oldest first.
	Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error)
}

// Blobs reads the object store. The caller closes what Get returns.
type Blobs interface {
	Get(ctx context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error)
}

// Decisions carries out decisions; see decision.Service.
type Decisions interface {
	Decide(ctx context.Context, who access.Identity, via contract.Via, email *ledger.EmailRow, r decision.Request) (contract.DecisionResult, error)
}

// Editor says what an edit would change, without changing it.
type Editor interface {
	// Destinations returns those that an edit of an email of the tenant may name.
	Destinations(tenant string) []string
	Preview(ctx context.Context, email contract.Email, edit contract.Edit) (preview.Preview, error)
}

// Operations is what the overview, destinations and routes show; see operations.Service.
type Operations interface {
	Overviews
	Destinations
	Rules
	Choices
}

// Choices returns the names that forms offer.
type Choices interface {
	Choices(tenants []string) operations.Choices
}

// Overviews returns the numbers of tenants.
type Overviews interface {
	Overview(ctx context.Context, tenants []string) (*ledger.Overview, error)
}

// Destinations shows destinations, pauses and resumes them.
type Destinations interface {
	Destinations(ctx context.Context, tenants []string) ([]operations.Destination, error)
	MayPause(who access.Identity, destination string) bool
	SetPaused(ctx context.Context, who access.Identity, via contract.Via, destination string, paused bool, note string) error
}

// Rules lists the rules that route mail, and tries them.
type Rules interface {
	RouteRows(tenants []string) (version string, rows []operations.RouteRow)
	Test(ctx context.Context, who access.Identity, in operations.Sample) (rules.Explanation, error)
}

// Sources shows the webhook sources and their failed verifications; see operations.Sources.
type Sources interface {
	List(ctx context.Context, tenants []string) []operations.Source
	ListFailures(ctx context.Context, who access.Identity, least access.Role, name string, since time.Time, limit int) (operations.FailuresPage, error)
}

// Tokens shows who may do what with a bearer token; see operations.Tokens.
type Tokens interface {
	List(ctx context.Context, tenants []string) ([]operations.Token, error)
}

// Batches starts and controls replays and decisions about many emails; see batch.Service.
type Batches interface {
	List(ctx context.Context, who access.Identity, least access.Role, f ledger.ReplayFilter) ([]ledger.ReplayRow, string, error)
	Outcomes(ctx context.Context, row *ledger.ReplayRow) error
	Find(ctx context.Context, who access.Identity, least access.Role, id int64) (*ledger.ReplayRow, error)
	Items(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error)
	Create(ctx context.Context, who access.Identity, via contract.Via, in batch.Request) (*ledger.ReplayRow, error)
	Start(ctx context.Context, who access.Identity, via contract.Via, dryRun, count int64) (*ledger.ReplayRow, error)
	Control(ctx context.Context, who access.Identity, via contract.Via, row *ledger.ReplayRow, name string, rate *contract.ReplayRate) (*ledger.ReplayRow, error)
}

// Changes returns, for each topic, a token that differs once something has changed,
// and the same for the emails with these ids. It is called every second or two, once
// for all open pages, and must be cheap.
type Changes interface {
	Pulse(ctx context.Context, emails []int64) (map[string]string, map[int64]string, error)
}
