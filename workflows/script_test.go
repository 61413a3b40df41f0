package workflows_test

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// script stands for the activities: each call of a step is answered by its
// function, which is told how many calls of it came before. Its methods have
// the names under which the worker registers the real ones.
type script struct {
	backfill func(n int, in contract.BackfillInput) (contract.BackfillResult, error)
	store    func(n int) (contract.StoreResult, error)
	inspect  func(n int) (contract.InspectResult, error)
	route    func(n int, in contract.RouteInput) (contract.RouteResult, error)
	deliver  func(ctx context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error)
	record   func(n int) error
	// recorded is the number of a change that an earlier run has recorded.
	recorded int64
	plan     func(in contract.HoldInput) contract.HoldPlan
	planErr  error
	intents  map[int64]contract.IntentResult
	intent   func(n int) error
	// reading is called before an intent is read; may be nil.
	reading func(intent int64)
	edit    func(in contract.SaveEditInput) (contract.SaveEditResult, error)
	apply   func(n int) error
	notify  func(n int) error
	signals func(n int) (struct{}, error)

	standing func() (contract.StandingResult, error)

	calls *calls
}

// calls is what the activities saw.
type calls struct {
	sync.Mutex
	steps     map[string]int
	effects   map[string]int // destination to deliveries that succeeded
	records   []contract.RecordInput
	delivers  []contract.DeliverInput
	backfills []contract.BackfillInput
	reminds   []contract.RemindInput
	notices   []contract.RemindInput
	edits     []contract.SaveEditInput
	signals   []contract.SignalsInput
	applied   []int64
	homeless  int // calls about an email without a row
}

func newScript() *script {
	return &script{calls: &calls{steps: map[string]int{}, effects: map[string]int{}}}
}

func (c *calls) next(step string) int {
	c.Lock()
	defer c.Unlock()
	n := c.steps[step]
	c.steps[step]++
	return n
}

// about notes which email a step was asked to work on.
func (c *calls) about(e contract.Email) {
	c.Lock()
	defer c.Unlock()
	if e.ID != 1 {
		c.homeless++
	}
}

func (c *calls) states() []contract.State {
	c.Lock()
	defer c.Unlock()
	out := make([]contract.State, 0, len(c.records))
	for _, r := range c.records {
		out = append(out, r.State)
	}
	return out
}

// Backfill returns the row 1, which is the one that all steps must name.
func (s *script) Backfill(_ context.Context, in contract.BackfillInput) (contract.BackfillResult, error) {
	n := s.calls.next("Backfill")
	s.calls.Lock()
	s.calls.backfills = append(s.calls.backfills, in)
	s.calls.Unlock()
	if s.backfill != nil {
		return s.backfill(n, in)
	}
	return row(in), nil
}

// row is what the ledger returns for an email that it did not know.
func row(in contract.BackfillInput) contract.BackfillResult {
	in.Email.ID = 1
	return contract.BackfillResult{
		Email: in.Email, ReceivedAtUnixMilli: in.ReceivedAtUnixMilli, Hold: in.Hold, State: contract.Processing,
	}
}

func (s *script) Store(_ context.Context, in contract.StoreInput) (contract.StoreResult, error) {
	s.calls.about(in.Email)
	n := s.calls.next("Store")
	if s.store == nil {
		return contract.StoreResult{Attachments: 1}, nil
	}
	return s.store(n)
}

func (s *script) Inspect(_ context.Context, in contract.InspectInput) (contract.InspectResult, error) {
	s.calls.about(in.Email)
	n := s.calls.next("Inspect")
	if s.inspect == nil {
		return contract.InspectResult{Verdicts: map[mail.Verdict]int{mail.Clean: 1}}, nil
	}
	return s.inspect(n)
}

func (s *script) Route(_ context.Context, in contract.RouteInput) (contract.RouteResult, error) {
	s.calls.about(in.Email)
	n := s.calls.next("Route")
	if s.route == nil {
		return contract.RouteResult{Routes: []string{"support"}, Destinations: []string{"ticketing"}}, nil
	}
	return s.route(n, in)
}

func (s *script) Deliver(ctx context.Context, in contract.DeliverInput) (contract.DeliverResult, error) {
	s.calls.about(in.Email)
	n := s.calls.next("Deliver " + in.Destination)
	s.calls.Lock()
	s.calls.delivers = append(s.calls.delivers, in)
	s.calls.Unlock()
	out, err := contract.DeliverResult{Status: 200, Attempts: n + 1}, error(nil)
	if s.deliver != nil {
		out, err = s.deliver(ctx, n, in)
	}
	if err == nil {
		s.calls.Lock()
		s.calls.effects[in.Destination]++
		s.calls.Unlock()
	}
	return out, err
}

func (s *script) RecordState(_ context.Context, in contract.RecordInput) (*contract.RecordResult, error) {
	s.calls.about(in.Email)
	n := s.calls.next("RecordState")
	if s.record != nil {
		if err := s.record(n); err != nil {
			return nil, err
		}
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	s.calls.records = append(s.calls.records, in)
	if in.Sequence <= s.recorded {
		return &contract.RecordResult{OverruledBy: s.recorded}, nil
	}
	return nil, nil
}

func (s *script) RecordSignals(_ context.Context, in contract.SignalsInput) error {
	s.calls.about(in.Email)
	n := s.calls.next("RecordSignals")
	if s.signals != nil {
		if _, err := s.signals(n); err != nil {
			return err
		}
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	s.calls.signals = append(s.calls.signals, in)
	return nil
}

// PlanHold returns what the defaults of the configuration do.
func (s *script) PlanHold(_ context.Context, in contract.HoldInput) (contract.HoldPlan, error) {
	s.calls.next("PlanHold")
	if s.planErr != nil {
		return contract.HoldPlan{}, s.planErr
	}
	if s.plan != nil {
		return s.plan(in), nil
	}
	return plan(1), nil
}

func plan(approvals int) contract.HoldPlan {
	return contract.HoldPlan{RemindSeconds: 4 * 3600, EscalateSeconds: 24 * 3600, RepeatSeconds: 7 * 24 * 3600, Approvals: approvals}
}

func (s *script) LoadIntent(_ context.Context, in contract.IntentInput) (contract.IntentResult, error) {
	n := s.calls.next("LoadIntent")
	if s.reading != nil {
		s.reading(in.Intent)
	}
	if s.intent != nil {
		if err := s.intent(n); err != nil {
			return contract.IntentResult{}, err
		}
	}
	out, ok := s.intents[in.Intent]
	if !ok {
		return out, failure(fault.DecisionRefused, 0)
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	for _, r := range s.calls.records {
		out.Taken = out.Taken || r.Decision != nil && r.Decision.Intent == in.Intent
	}
	return out, nil
}

// LoadStanding returns what the ledger would have of what was recorded; where nothing was,
// that every step is passed.
func (s *script) LoadStanding(context.Context, contract.StandingInput) (contract.StandingResult, error) {
	s.calls.next("LoadStanding")
	if s.standing != nil {
		return s.standing()
	}
	return contract.StandingResult{From: contract.StepRoute, Inspected: contract.Inspected{AtUnixMilli: 1, Content: "c"}, Content: "c"}, nil
}

func (s *script) Remind(_ context.Context, in contract.RemindInput) error {
	s.calls.about(in.Email)
	s.calls.Lock()
	defer s.calls.Unlock()
	s.calls.reminds = append(s.calls.reminds, in)
	return nil
}

func (s *script) Notify(_ context.Context, in contract.RemindInput) error {
	n := s.calls.next("Notify")
	if s.notify != nil {
		if err := s.notify(n); err != nil {
			return err
		}
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	s.calls.notices = append(s.calls.notices, in)
	return nil
}

func (s *script) SaveEdit(_ context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error) {
	s.calls.about(in.Email)
	s.calls.Lock()
	s.calls.edits = append(s.calls.edits, in)
	s.calls.Unlock()
	if s.edit != nil {
		return s.edit(in)
	}
	return contract.SaveEditResult{EditID: 5, From: contract.StepRoute}, nil
}

func (s *script) ApplyEdit(_ context.Context, in contract.ApplyEditInput) error {
	s.calls.about(in.Email)
	n := s.calls.next("ApplyEdit")
	if s.apply != nil {
		if err := s.apply(n); err != nil {
			return err
		}
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	s.calls.applied = append(s.calls.applied, in.EditID)
	return nil
}

// failure is what an activity returns for a fault, as activities/errors.go makes it.
func failure(code fault.Code, retryAfter time.Duration) error {
	f := fault.New(code, "a sentence")
	return temporal.NewApplicationErrorWithOptions(f.Public, string(f.Code), temporal.ApplicationErrorOptions{
		NonRetryable:   !f.Temporary,
		NextRetryDelay: retryAfter,
	})
}

func input() contract.InboundEmailInput {
	return contract.InboundEmailInput{
		Email: contract.Email{
			ID: 1, WorkflowID: "evt_1", Source: "mailparse", EventID: "evt_1", Tenant: "default",
			CorrelationID: "c-1", Size: 4096,
		},
		ReceivedAtUnixMilli: 1700000000000,
	}
}

func holding(r contract.Reason) []contract.Hold {
	return []contract.Hold{{Reason: r, Detail: "attachment 1 of 1"}}
}
