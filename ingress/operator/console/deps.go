package console

import (
	"context"
	"io"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Emails reads the ledger.
type Emails interface {
	// ListEmails gives one page, newest first, and the cursor of the next one.
	ListEmails(ctx context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error)
	// FindEmail returns the email of a lookup, the newest where it means several. It is
	// fault.NotFound when there is none.
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	// Body says where the raw body of an email is, stored or not yet.
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// Manifest says what the store step put where; before that it fails.
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
}

// Blobs reads the object store. The caller closes what Get returns.
type Blobs interface {
	Get(ctx context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error)
}

// Request is one decision as a person sends it.
type Request struct {
	Action contract.Action
	Note   string
	Edit   *contract.Edit
}

// Decider takes decisions. It checks what the caller may do and refuses with
// fault.DecisionRefused, saying who was first, what comes too late.
type Decider interface {
	Decide(ctx context.Context, who access.Identity, email *ledger.EmailRow, in Request) (contract.DecisionResult, error)
}

// Holdings counts what is held, by reason, most first.
type Holdings interface {
	Held(ctx context.Context, tenants Tenants) ([]Holding, error)
}

// Tenants are those whose mail may be seen; nil means all of them.
type Tenants []string

// Holding is what is held for one reason.
type Holding struct {
	Reason contract.Reason
	Count  int64
	Oldest time.Time
}

// Timelines tells the way of one email, oldest first.
type Timelines interface {
	Timeline(ctx context.Context, email *ledger.EmailDetail) ([]Moment, error)
}

// Moment is one thing that happened to an email. Kind is received, verified,
// stored, inspected, routed, attempt, leg, waiting, held, reminder, edit, decision, replay
// or closed.
type Moment struct {
	At     time.Time
	Kind   string
	Title  string
	Detail string
	Actor  string
	Via    string
}

// Edits shows what an edit would change, without changing it.
type Edits interface {
	// Destinations are those that an edit of an email of the tenant may name.
	Destinations(tenant string) []string
	Preview(ctx context.Context, who access.Identity, email *ledger.EmailDetail, e contract.Edit) ([]ledger.Change, error)
}

// Destinations are where mail goes.
type Destinations interface {
	List(ctx context.Context) ([]Destination, error)
	Pause(ctx context.Context, who access.Identity, name, note string) error
	Resume(ctx context.Context, who access.Identity, name, note string) error
}

// Destination is the state of one.
type Destination struct {
	Name string
	URL  string // its host alone: a path may hold a secret
	// Breaker is closed, half-open, open, or empty when no worker has told.
	Breaker  string
	Paused   bool
	PausedBy string
	PausedAt time.Time
	Note     string
	// GoneUntil is until when nothing is sent because it answered 410; zero where it
	// has not, or a person has resumed it since.
	GoneUntil time.Time
	InFlight  int
	Backlog   int64
	Oldest    time.Time // of the backlog; zero when there is none
	Failed    int64     // emails that are held because of it
	MayPause  bool      // the caller may pause and resume it
}

// Rules are the routes of the configuration.
type Rules interface {
	List(ctx context.Context) ([]Rule, error)
	Test(ctx context.Context, in Sample) (Outcome, error)
}

// Rule is one route: When holds its conditions as text.
type Rule struct {
	Name string
	When []string
	To   []string
	Hold bool
}

// Sample is a mail to try the rules on.
type Sample struct {
	Recipients []string
	Sender     string
	Subject    string
	Source     string
	Tenant     string
	Headers    map[string]string
	// Reported is what the provider would say beside the mail.
	Reported mail.Reported
}

// Outcome is what the rules say of a sample.
type Outcome struct {
	Matched      []string
	Destinations []string
	// Held says why the mail would be held; empty when it would go on.
	Held []contract.Hold
	// Foreign are the recipients outside the tenant's domains, which no rule was asked about.
	Foreign []string
	// Tagged says how recipients with a tag are read.
	Tagged []string
	// Steps tells, rule by rule, what matched and what did not.
	Steps []OutcomeStep
}

// OutcomeStep is what one rule said.
type OutcomeStep struct {
	Rule    string
	Matched bool
	Why     string
}

// Replays are decisions about many emails and new goes at closed ones.
type Replays interface {
	List(ctx context.Context, who access.Identity) ([]Replay, error)
	// Find gives one to who may decide for every tenant that it may touch, and hides it
	// from who has no role in one of them.
	Find(ctx context.Context, who access.Identity, id int64) (*Replay, error)
	Items(ctx context.Context, id int64) ([]ReplayItem, error)
	// Plan begins a dry run, which touches no email, and gives its number. It is
	// fault.RequestInvalid where what is asked for makes no sense.
	Plan(ctx context.Context, who access.Identity, in ReplayRequest) (int64, error)
	// Start does for real what a dry run has counted, once: a repeat gives the number
	// of the replay that was started. It is fault.DecisionRefused where count is not
	// what was counted.
	Start(ctx context.Context, who access.Identity, dryRun, count int64) (int64, error)
	// Steer takes pause, resume or stop.
	Steer(ctx context.Context, who access.Identity, id int64, verb string) error
}

// ReplayRequest asks for one.
type ReplayRequest struct {
	Filter ledger.Filter
	// Action is approve, discard or retry, or replay.
	Action    string
	From      string // held, route or store; for replay alone
	Rate      int    // emails a second
	Note      string
	NewEffect bool
}

// Plan is what a dry run has found.
type Plan struct {
	Count int64
	Would []Would
	// Begins says where those begin that would be carried once more, HeldAgain what
	// would hold them again.
	Begins, HeldAgain []Would
	// Evaluated is how many of them were read again, Changed how many of those would
	// be different.
	Evaluated, Changed int
	Sample             []PlanItem
}

// Would is what would become of some of them.
type Would struct {
	What  string
	Count int64
}

// PlanItem is one of the emails that a replay would touch.
type PlanItem struct {
	Number                  int64 // of the email
	EventID, Source, Effect string
}

// Replay is one, with how far it is.
type Replay struct {
	ID                    int64
	Action, From          string
	State                 string // running, paused, stopped, done or failed
	Actor, Note           string
	Rate                  float64 // 0: as fast as it goes
	Total, Done           int64   // Total is -1 until it is known
	Skipped, Failed       int64
	StartedAt, FinishedAt time.Time
	Filter                ledger.Filter
	NewEffect             bool
	DryRun                bool
	Plan                  *Plan // what a dry run has found; nil until it has
	StartedAs             int64 // the replay that was started from this dry run; 0: none
}

// ReplayItem is what came of one email.
type ReplayItem struct {
	Number                          int64 // of the email
	EventID, Source, Result, Detail string
	At                              time.Time
}

// Figures are the numbers of the overview.
type Figures interface {
	Overview(ctx context.Context, tenants Tenants) (Overview, error)
}

// Overview is how things are.
type Overview struct {
	States []StateCount
	Held   []Holding
	// Rate is what was received and delivered in each minute of the last hour, oldest first.
	Rate []RatePoint
	// Latencies are measured times against what is promised.
	Latencies   []Latency
	InboxDepth  int64
	InboxOldest time.Time
	// Reminded and Escalated count held emails that somebody was told of.
	Reminded, Escalated int64
}

// StateCount is how many emails are in one state.
type StateCount struct {
	State contract.State
	Count int64
}

// RatePoint is one minute.
type RatePoint struct {
	At                  time.Time
	Received, Delivered int64
}

// Latency is one measured time. Objective is zero where none is promised.
type Latency struct {
	Name          string
	P50, P95, P99 time.Duration
	Objective     time.Duration
}

// Chain is the hash chain of what people did.
type Chain interface {
	Entries(ctx context.Context, before int64) ([]ChainEntry, error)
	// Verify reads the whole chain; broken is the first number that does not fit, 0 for none.
	Verify(ctx context.Context) (checked, broken int64, err error)
}

// ChainEntry is one link, newest first.
type ChainEntry struct {
	Number             int64
	Email              int64 // its number, 0 where the entry is about none
	At                 time.Time
	Kind, Actor, Via   string
	EventID, Source    string
	Tenant, Hash, Text string
}

// Changes gives, for each topic, a token that differs once something has changed,
// and the same for the emails with these ids. It is asked every second or two, for
// all who look together, and must be cheap.
type Changes interface {
	Pulse(ctx context.Context, emails []int64) (map[string]string, map[int64]string, error)
}
