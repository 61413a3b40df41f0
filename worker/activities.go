package worker

import (
	"fmt"
	"time"

	sdkworker "go.temporal.io/sdk/worker"

	"mailroom/activities"
	"mailroom/activities/downstream"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/decode"
	"mailroom/shared/inspection"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/program"
	"mailroom/shared/rules"
	"mailroom/workflows"
)

// parts are the activities of one worker.
type parts struct {
	backfill *activities.Backfill
	store    *activities.Store
	inspect  *activities.Inspect
	route    *activities.Route
	deliver  *activities.Deliver
	ledger   *activities.Ledger
	replays  *activities.Replays
	tending  *activities.Tending
	rules    activities.Router
	holds    *activities.Holds
	sender   *downstream.Sender
	recorder *recorder
	tasks    *taskAttempts
}

// newParts wires the activities.
func newParts(of *program.Program, db stores, o objects, scan scanner) (*parts, error) {
	p, recent, file := &parts{tasks: newTaskAttempts()}, newRecentLedger(db), of.File
	if err := p.backfilling(of, db); err != nil {
		return nil, err
	}
	var err error
	p.store, err = activities.NewStore(
		activities.StoreConfig{Budgets: contract.Budgets{
			ScanSeconds:    int64(file.Retry.Scan / time.Second),
			DeliverSeconds: int64(file.Retry.Deliver / time.Second),
		}, Parser: decode.Parser()},
		activities.StoreDeps{Ledger: recent, Bodies: o, Objects: o, Decoder: decode.Decoder{}})
	if err != nil {
		return nil, err
	}
	examiner, err := inspection.New(inspection.Config{
		AllowedTypes: file.Attachments.AllowedTypes, MaxSize: int64(file.Attachments.MaxSize),
	})
	if err != nil {
		return nil, fmt.Errorf("attachments: %w", err)
	}
	p.inspect, err = activities.NewInspect(activities.InspectDeps{
		Ledger: recent, Content: o, Messages: o, Mail: o, Examiner: examiner, Scanner: scan,
	})
	if err != nil {
		return nil, err
	}
	compiled, err := rules.New(file.Routes, file.Tenants, file.Destinations)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	p.rules = carefulRules{
		Rules: compiled, careful: carefulDestinations(file), version: rules.Version(file.Routes, file.Tenants, file.Destinations),
	}
	p.route, err = activities.NewRoute(activities.RouteDeps{Ledger: recent, Messages: o, Rules: p.rules})
	if err != nil {
		return nil, err
	}
	return p, p.delivery(of, db, recent, o, compiled)
}

// backfilling wires the step before all others.
func (p *parts) backfilling(of *program.Program, db stores) error {
	rows, err := newEnroller(db, of.Logger, of.Registry)
	if err != nil {
		return err
	}
	p.backfill, err = activities.NewBackfill(activities.BackfillDeps{Ledger: rows, Opener: of.Keys})
	return err
}

// delivery wires the rest.
func (p *parts) delivery(of *program.Program, db stores, recent *recentLedger, o objects, compiled *rules.Rules) error {
	attempts, err := downstream.NewPrometheus(of.Registry)
	if err != nil {
		return err
	}
	p.sender, err = downstream.New(
		downstream.Config{Destinations: of.File.Destinations, FastCalls: emailsAtOnce / 4, RegularCalls: activitiesAtOnce * 3 / 4},
		downstream.Deps{Metrics: attempts, Logger: of.Logger, Gone: db})
	if err != nil {
		return err
	}
	p.deliver, err = activities.NewDeliver(activities.DeliverDeps{Ledger: db, Messages: o, Links: o, Sender: p.sender, Gate: p.sender, Rests: p.sender})
	if err != nil {
		return err
	}
	if p.recorder, err = newRecorder(db, of.Logger, of.Registry); err != nil {
		return err
	}
	keeper, err := newEditKeeper(of.File, compiled, recent, o)
	if err != nil {
		return err
	}
	p.ledger, err = activities.NewLedger(activities.LedgerDeps{Recorder: p.recorder, Edits: keeper})
	if err != nil {
		return err
	}
	return p.holding(of, db)
}

// register tells a worker what it can do.
func (p *parts) register(w sdkworker.Worker) {
	w.RegisterWorkflow(workflows.InboundEmail)
	w.RegisterWorkflow(workflows.Replay)
	w.RegisterWorkflow(workflows.Maintenance)
	for _, a := range []any{p.backfill, p.store, p.inspect, p.route, p.deliver, p.ledger, p.holds, p.replays, p.tending} {
		w.RegisterActivity(a)
	}
}

// carefulRules adds to what the rules say their version, and which destinations are
// never tried fast, because a repeat there may do the work twice.
type carefulRules struct {
	*rules.Rules
	careful map[string]bool
	version string
}

func carefulDestinations(file *config.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range file.Destinations {
		if !d.HonoursKey() {
			out[d.Name] = true
		}
	}
	return out
}

// Route implements activities.Router.
func (r carefulRules) Route(in contract.RouteInput, m *ledger.Manifest, message *mail.Message) contract.RouteResult {
	out := r.Rules.Route(in, m, message)
	out.Routed.Rules = r.version
	for _, d := range out.Destinations {
		if r.careful[d] {
			out.Durable = append(out.Durable, d)
		}
	}
	return out
}
