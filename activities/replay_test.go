package activities_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// reach is the workflows of emails in memory: what was decided and started, by
// workflow ID, and how often.
type reach struct {
	mu      sync.Mutex
	decided map[string]int
	started map[string]int
	replays map[string]int64
	gone    map[string]bool // no workflow runs
	refuse  map[string]bool
	down    bool
	foreign bool                               // other workflows have the IDs
	lost    int                                // how many answers are lost after the deed
	ends    map[string]contract.DecisionResult // of those who said that they tell the ledger
	end     func(workflowID string, intent int64) *contract.RecordInput
	hook    func()
}

func newReach() *reach {
	return &reach{decided: map[string]int{}, started: map[string]int{}, ends: map[string]contract.DecisionResult{}, replays: map[string]int64{}, gone: map[string]bool{}, refuse: map[string]bool{}}
}

func (r *reach) done() error {
	if r.lost > 0 {
		r.lost--
		return fault.New(fault.TemporalUnavailable, "the answer was lost")
	}
	return nil
}

func (r *reach) Decide(_ context.Context, id string, d contract.Decision) (contract.DecisionResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hook != nil {
		defer r.hook()
	}
	switch {
	case r.down:
		return contract.DecisionResult{}, fault.New(fault.TemporalUnavailable, "away")
	case r.gone[id]:
		return contract.DecisionResult{}, fault.New(fault.NotFound, "gone")
	case r.foreign:
		return contract.DecisionResult{}, fault.New(fault.DecisionRefused, "unknown update decide")
	case r.refuse[id]:
		return contract.DecisionResult{}, fault.New(fault.DecisionRefused, "Ben was first")
	case r.decided[id] == 0: // an intent is taken once
		r.decided[id]++
		if d.Records && r.end != nil {
			r.ends[id] = contract.DecisionResult{State: contract.Discarded, Record: r.end(id, d.Intent)}
		}
	}
	return r.ends[id], r.done()
}

func (r *reach) Taken(_ context.Context, id string, _ int64) (contract.DecisionResult, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ends[id], r.decided[id] > 0, nil
}

func (r *reach) Start(_ context.Context, e *ledger.ReplayEmail, again contract.Replayed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return fault.New(fault.TemporalUnavailable, "away")
	}
	r.started[e.WorkflowID]++
	r.replays[e.WorkflowID] = again.ID
	return r.done()
}

func (r *reach) Execution(_ context.Context, id string) (activities.Execution, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.foreign {
		return activities.Execution{Foreign: true}, nil
	}
	return activities.Execution{Ended: !r.gone[id], Forced: r.gone[id], Replay: r.replays[id]}, nil
}

func (r *reach) Healthy(context.Context) bool { return !r.down }

// allMail routes all mail to the same destinations.
type allMail []string

func (allMail) NeedsHeaders() bool { return false }

func (allMail) Foreign(contract.Email, *ledger.Manifest) []string { return nil }

func (allMail) Unmatched(contract.RouteInput, *ledger.Manifest, *mail.Message) []string { return nil }

func (e allMail) Route(_ contract.RouteInput, m *ledger.Manifest, _ *mail.Message) contract.RouteResult {
	if m.Overlay != nil && len(m.Overlay.To) > 0 {
		return contract.RouteResult{Routes: []string{contract.RouteEdited}, Destinations: m.Overlay.To}
	}
	return contract.RouteResult{Routes: []string{"all"}, Destinations: e}
}

type replayBench struct {
	*activities.Replays
	*activities.ReplayPreview
	db    *pgtest.DB
	reach *reach
	ends  ends
}

func setupReplay(t *testing.T) *replayBench {
	t.Helper()
	b := &replayBench{db: pgtest.New(t), reach: newReach()}
	b.ends.write = b.db.RecordAll
	store, err := activities.NewStore(activities.StoreConfig{}, activities.StoreDeps{
		Ledger: b.db, Bodies: &shelf{raw: map[string][]byte{"body/done-0": []byte("done-0")}}, Objects: &shelf{}, Decoder: decoder(func(body []byte) (*mail.Event, []contract.Hold) {
			return &mail.Event{Message: mail.Message{Subject: "today's " + string(body)}, Mailbox: "new@y.example"}, nil
		}),
	})
	require.NoError(t, err)
	b.Replays, err = activities.NewReplays(activities.ReplaysDeps{
		Rows: b.db, Controls: b.db, Claims: b.db, Decisions: b.db, Ends: &b.ends,
		Decider: b.reach, Starter: b.reach, Executions: b.reach,
	})
	require.NoError(t, err)
	b.ReplayPreview, err = activities.NewReplayPreview(activities.ReplayPreviewDeps{
		Rows: b.db, Ledger: b.db, Emails: b.db, Store: store, Messages: &shelf{}, Rules: allMail{"crm"},
	})
	require.NoError(t, err)
	return b
}

// emails puts n emails into a state.
func (b *replayBench) emails(t *testing.T, prefix string, n int, state contract.State, reason contract.Reason) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		body := []byte(id)
		got, err := b.db.Accept(t.Context(), []postgres.Acceptance{{
			Source: contract.FirstSource, EventID: id, WorkflowID: id, Tenant: "default", CorrelationID: id,
			BodySHA256: sumOf(body), Size: int64(len(body)), ReceivedAt: time.Now(), Body: body,
		}}, time.Minute)
		require.NoError(t, err)
		message, err := json.Marshal(mail.Message{Subject: "old"})
		require.NoError(t, err)
		email := got[0].Row.Email
		require.NoError(t, b.db.SaveManifest(t.Context(), ledger.Manifest{EmailID: email.ID, RawKey: "body/" + id, Subject: "old", Message: message}))
		require.NoError(t, b.db.Record(t.Context(), contract.RecordInput{
			Email: email, Sequence: time.Now().Add(-time.Second).UnixMilli(), State: state, Reason: reason, AtUnixMilli: time.Now().UnixMilli(),
		}))
	}
}

func (b *replayBench) create(t *testing.T, in ledger.NewReplay) int64 {
	t.Helper()
	in.Note, in.Actor, in.Via = "why not", "ann", contract.ViaAPI
	id, _, err := b.db.CreateReplay(t.Context(), in)
	require.NoError(t, err)
	return id
}

func (b *replayBench) chunk(t *testing.T, id int64) (contract.ReplayProgress, error) {
	t.Helper()
	out, err := b.ReplayChunk(t.Context(), contract.ReplayChunkInput{ID: id, Seconds: 20})
	return out.Progress, err
}

func sumOf(body []byte) [32]byte { return sha256.Sum256(body) }

// TestDecisionsAboutMailThatWaits go to what waits, and to nothing that is held or closed.
func TestDecisionsAboutMailThatWaits(t *testing.T) {
	t.Parallel()
	for action, want := range map[contract.Action]map[string]int64{
		contract.Retry:   {"decided": 3, "refused": 1},
		contract.Discard: {"decided": 3, "refused": 1},
		contract.Held:    {"decided": 3, "refused": 1},
	} {
		b := setupReplay(t)
		b.emails(t, "waits", 4, contract.Retrying, contract.DownstreamUnavailable)
		b.emails(t, "held", 2, contract.Quarantined, contract.DownstreamExhausted)
		b.reach.refuse["waits-3"] = true // its state is another one by now
		id := b.create(t, ledger.NewReplay{Action: action, Filter: ledger.Filter{State: contract.Retrying}})
		p, err := b.chunk(t, id)
		require.NoError(t, err)
		require.Equal(t, contract.ReplayDone, p.State)
		row, err := b.db.Replay(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, row.Results, action)
	}
}

func TestReplayDecidesAndStartsEachOnce(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "held", 300, contract.Quarantined, contract.Unroutable)
	b.emails(t, "done", 5, contract.Delivered, "")
	b.emails(t, "busy", 2, contract.Processing, "")
	b.reach.refuse["held-3"] = true
	b.reach.lost = 3
	id := b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepRoute})
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayDone, p.State)
	require.EqualValues(t, 307, p.Total)
	row, err := b.db.Replay(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"decided": 299, "started": 5, "in_progress": 2, "refused": 1}, row.Results)
	require.Len(t, b.reach.decided, 299)
	for id, n := range b.reach.started {
		require.Equal(t, 1, n, id)
	}
}

// TestReplayOfAKilledWorker: what was done and not written down is found out.
func TestReplayOfAKilledWorker(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "done", 10, contract.Delivered, "")
	id := b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepStore})
	row, fence, err := b.db.TakeReplay(t.Context(), id)
	require.NoError(t, err)
	claimed, _, err := b.db.ClaimReplay(t.Context(), row, fence, 6)
	require.NoError(t, err)
	for _, e := range claimed[:4] {
		require.NoError(t, b.reach.Start(t.Context(), &e, contract.Replayed{ID: id}))
	}
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.EqualValues(t, 10, p.Done)
	require.Len(t, b.reach.started, 10)
	for id, n := range b.reach.started {
		require.Equal(t, 1, n, id)
	}
}

func TestReplayObeysAPause(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "held", 60, contract.Quarantined, contract.Unroutable)
	id := b.create(t, ledger.NewReplay{Action: contract.Retry, Rate: 20, Filter: ledger.Filter{State: contract.Quarantined}})
	var once sync.Once
	b.reach.hook = func() {
		once.Do(func() {
			_, err := b.ControlReplay(t.Context(), contract.ReplayControlInput{ID: id, State: contract.ReplayPaused})
			require.NoError(t, err)
		})
	}
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayPaused, p.State)
	require.Less(t, p.Done, int64(40))
	_, err = b.ControlReplay(t.Context(), contract.ReplayControlInput{ID: id, State: contract.ReplayRunning})
	require.NoError(t, err)
	p, err = b.chunk(t, id)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayDone, p.State)
	require.EqualValues(t, 60, p.Done)
	require.Len(t, b.reach.decided, 60)
}

// TestReplayWaitsForTemporal: nothing is skipped while Temporal does not answer.
func TestReplayWaitsForTemporal(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "held", 3, contract.Quarantined, contract.Unroutable)
	id := b.create(t, ledger.NewReplay{Action: contract.Retry})
	b.reach.down = true
	_, err := b.chunk(t, id)
	requireCode(t, err, fault.TemporalUnavailable, true)
	b.reach.down = false
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Done)
}

// TestReplayTakesUpWhatWasTerminated: nothing else would.
func TestReplayTakesUpWhatWasTerminated(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "held", 1, contract.Quarantined, contract.Unroutable)
	b.reach.gone["held-0"] = true
	p, err := b.chunk(t, b.create(t, ledger.NewReplay{Action: contract.Retry}))
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Skipped)
	p, err = b.chunk(t, b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepRoute}))
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Done)
	require.Equal(t, 1, b.reach.started["held-0"])
}

// TestReplayTellsWhatItCannotSkip: the dry run counts, and the result of each email
// says, where the email begins instead of where it was asked to, and what holds it again.
func TestReplayTellsWhatItCannotSkip(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "junk", 2, contract.Quarantined, contract.Infected)
	for i := range 2 {
		row, err := b.db.FindEmail(t.Context(), ledger.Lookup{Source: contract.FirstSource, EventID: fmt.Sprintf("junk-%d", i)})
		require.NoError(t, err)
		require.NoError(t, b.db.Record(t.Context(), contract.RecordInput{
			Email: row.Email(), Sequence: time.Now().Add(-time.Second / 2).UnixMilli(), State: contract.Discarded, Reason: contract.Infected,
			Inspected: contract.Inspected{AtUnixMilli: 1, Content: "aa"},
			Findings:  []contract.Finding{{Step: contract.StepInspect, Reason: contract.Infected, State: contract.FindingOpen, Needed: 2}},
		}))
	}
	request := ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepRoute, DryRun: true}
	id := b.create(t, request)
	_, err := b.PreviewReplay(t.Context(), contract.ReplayChunkInput{ID: id})
	require.NoError(t, err)
	row, err := b.db.Replay(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"inspect": 2}, row.Preview.Begins)
	require.Equal(t, map[string]int64{"infected": 2}, row.Preview.HeldAgain)
	require.Equal(t, []contract.Reason{contract.Infected}, row.Preview.Sample[0].HeldAgain)

	request.DryRun = false
	id = b.create(t, request)
	_, err = b.chunk(t, id)
	require.NoError(t, err)
	items, _, err := b.db.ReplayItems(t.Context(), ledger.ReplayItemFilter{ReplayID: id})
	require.NoError(t, err)
	require.Equal(t, "it begins earlier than asked, from its inspection, which is not known to be passed; "+
		"it is held again as infected, which has not been approved", items[0].Detail)
	require.Equal(t, ledger.ItemStarted, items[0].Code)
}

func TestPreviewHasNoEffect(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "done", 3, contract.Delivered, "")
	b.emails(t, "busy", 1, contract.Processing, "")
	b.emails(t, "waits", 2, contract.Retrying, contract.DownstreamUnavailable)
	id := b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepRoute, DryRun: true})
	out, err := b.PreviewReplay(t.Context(), contract.ReplayChunkInput{ID: id})
	require.NoError(t, err)
	require.Equal(t, contract.ReplayDone, out.Progress.State)
	row, err := b.db.Replay(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 6, row.Preview.Total)
	require.Equal(t, map[ledger.ReplayCode]int64{"started": 3, "decided": 2, "in_progress": 1}, row.Preview.Would)
	require.EqualValues(t, 2, row.Preview.ByState["retrying"])
	require.Equal(t, "they are routed again, and tried now", row.WaitingText())
	require.Equal(t, map[string]int64{"inspect": 3}, row.Preview.Begins, "none is known to be inspected as it is")
	require.Equal(t, "inspect", row.Preview.Sample[0].Begins)
	require.Equal(t, 5, row.Preview.Changed)
	require.Contains(t, row.Preview.Sample[0].Changes, ledger.Change{Field: "to", After: "crm"})
	require.Empty(t, b.reach.started)
	items, _, err := b.db.ReplayItems(t.Context(), ledger.ReplayItemFilter{ReplayID: id})
	require.NoError(t, err)
	require.Empty(t, items)
}
