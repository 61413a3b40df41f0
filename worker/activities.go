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

// activitySet is the activities of one worker, and what they share.
type activitySet struct {
	backfill *activities.Backfill
	store    *activities.Store
	inspect  *activities.Inspect
	route    *activities.Route
	deliver  *activities.Deliver
	record   *activities.Record
	edits    *activities.Edits
	standing *activities.Standing
	replays  *activities.Replays
	preview  *activities.ReplayPreview
	starts   *activities.ReplayStarts
	recovery *activities.Recovery
	purge    *activities.Purge
	rules    activities.Router
	holds    *activities.Holds
	sender   *downstream.Sender
	recorder *recorder
	tasks    *taskAttempts
}

// newActivitySet wires the activities that need no Temporal; wireBatches wires the others.
func newActivitySet(p *program.Program, db stores, o objects, scan scanner) (*activitySet, error) {
	a, cache, file := &activitySet{tasks: newTaskAttempts()}, newManifestCache(db), p.File
	if err := a.wireBackfill(p, db); err != nil {
		return nil, err
	}

	var err error
	a.store, err = activities.NewStore(
		activities.StoreConfig{Budgets: contract.Budgets{
			ScanSeconds:    int64(file.Retry.Scan / time.Second),
			DeliverSeconds: int64(file.Retry.Deliver / time.Second),
		}, Parser: decode.Parser()},
		activities.StoreDeps{Ledger: cache, Bodies: o, Objects: o, Decoder: decode.Decoder{}})
	if err != nil {
		return nil, err
	}

	examiner, err := inspection.New(examined(file))
	if err != nil {
		return nil, fmt.Errorf("attachments: %w", err)
	}
	a.inspect, err = activities.NewInspect(activities.InspectDeps{
		Ledger: cache, Content: o, Messages: o, Mail: o, Examiner: examiner, Scanner: scan,
	})
	if err != nil {
		return nil, err
	}

	compiled, err := rules.Of(file)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	if err := a.wireRoute(p, cache, o, compiled); err != nil {
		return nil, err
	}
	return a, a.wireDelivery(p, db, cache, o, compiled)
}

// examined returns what the configuration says about attachments.
func examined(file *config.File) inspection.Config {
	return inspection.Config{AllowedTypes: file.Attachments.AllowedTypes, MaxSize: int64(file.Attachments.MaxSize)}
}

// wireBackfill wires the step that precedes all others.
func (a *activitySet) wireBackfill(p *program.Program, db stores) error {
	rows, err := newBackfill(db, p.Logger, p.Registry)
	if err != nil {
		return err
	}
	a.backfill, err = activities.NewBackfill(activities.BackfillDeps{Ledger: rows, Opener: p.Keys})
	return err
}

// wireDelivery wires delivery, the saving of states and edits, and reminders.
func (a *activitySet) wireDelivery(p *program.Program, db stores, cache *manifestCache, o objects, compiled *rules.Rules) error {
	attempts, err := downstream.NewPrometheus(p.Registry, p.File.Destinations)
	if err != nil {
		return err
	}
	a.sender, err = downstream.New(
		downstream.Config{Destinations: p.File.Destinations, FastCalls: emailsAtOnce / 4, RegularCalls: activitiesAtOnce * 3 / 4},
		downstream.Deps{Metrics: attempts, Logger: p.Logger, Answers: db})
	if err != nil {
		return err
	}

	a.deliver, err = activities.NewDeliver(activities.DeliverDeps{Ledger: db, Messages: o, Links: o, Sender: a.sender, Gate: a.sender, Rests: a.sender})
	if err != nil {
		return err
	}

	if a.recorder, err = newRecorder(db, p.Logger, p.Registry); err != nil {
		return err
	}
	saved, err := newEdits(p.File, compiled, cache, o)
	if err != nil {
		return err
	}
	if a.edits, err = activities.NewEdits(saved); err != nil {
		return err
	}
	if a.record, err = activities.NewRecord(a.recorder); err != nil {
		return err
	}
	return a.wireHolds(p, db)
}

// register adds the workflows and the activities to a worker.
func (a *activitySet) register(w sdkworker.Worker) {
	w.RegisterWorkflow(workflows.InboundEmail)
	w.RegisterWorkflow(workflows.Replay)
	w.RegisterWorkflow(workflows.Maintenance)
	for _, one := range []any{
		a.backfill, a.store, a.inspect, a.route, a.deliver, a.record, a.edits, a.holds, a.standing,
		a.replays, a.preview, a.starts, a.recovery, a.purge,
	} {
		w.RegisterActivity(one)
	}
}

// router adds to the result of the rules their version, and the destinations that are
// never tried fast, because a repeat there may have a second effect.
type router struct {
	*rules.Rules
	durable map[string]bool // by name of the destination
}

func withoutFastAttempts(file *config.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range file.Destinations {
		if !d.HonoursKey() {
			out[d.Name] = true
		}
	}
	return out
}

// Route implements activities.Router.
func (r router) Route(in contract.RouteInput, m *ledger.Manifest, message *mail.Message) contract.RouteResult {
	out := r.Rules.Route(in, m, message)
	out.Routed.Rules = r.Version()
	for _, d := range out.Destinations {
		if r.durable[d] {
			out.Durable = append(out.Durable, d)
		}
	}
	return out
}
