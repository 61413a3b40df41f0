package decision_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

var (
	_ decision.Intents = (*postgres.Decisions)(nil)
	_ decision.Decider = (*temporal.Decider)(nil)
)

// world is what a decision service works with.
type world struct {
	intents []ledger.Intent
	edits   []contract.SaveEditInput
	sent    []contract.Decision
	refused [][2]int64 // decisions about emails whose workflow cannot be started
	last    *ledger.DecisionRow
	result  contract.DecisionResult
	err     error // of the workflow
	editErr error
	lastErr error
	logs    bytes.Buffer
}

func (w *world) CreateIntent(_ context.Context, in ledger.Intent) (int64, error) {
	w.intents = append(w.intents, in)
	return int64(40 + len(w.intents)), nil
}

func (w *world) DecideRefused(_ context.Context, emailID, intent int64) (contract.DecisionResult, error) {
	w.refused = append(w.refused, [2]int64{emailID, intent})
	return w.result, w.err
}

func (w *world) LastDecision(context.Context, int64) (ledger.DecisionRow, bool, error) {
	if w.last == nil {
		return ledger.DecisionRow{}, false, w.lastErr
	}
	return *w.last, true, w.lastErr
}

func (w *world) Decide(_ context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	if workflowID != "wf-1" {
		return contract.DecisionResult{}, errors.New("another workflow")
	}
	w.sent = append(w.sent, d)
	return w.result, w.err
}

func (w *world) SaveEdit(_ context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error) {
	w.edits = append(w.edits, in)
	return contract.SaveEditResult{EditID: 9, From: contract.StepInspect}, w.editErr
}

func (w *world) service(t *testing.T) *decision.Service {
	t.Helper()
	d, err := decision.New(decision.Deps{Intents: w, Decider: w, Edits: w, Logger: slog.New(slog.NewJSONHandler(&w.logs, nil))})
	require.NoError(t, err)
	return d
}

func held() *ledger.EmailRow {
	return &ledger.EmailRow{ID: 7, EventID: "evt_7", WorkflowID: "wf-1", Source: "mailparse", Tenant: "acme", State: contract.Quarantined}
}

func olga() access.Identity {
	return access.Identity{Name: "olga", Roles: map[string]access.Role{"acme": access.Operator, "other": access.Viewer}}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		request decision.Request
		want    ledger.Intent
	}{
		{decision.Request{Action: contract.Approve, Note: "two\nlines"}, ledger.Intent{Action: contract.Approve, Note: "two\nlines"}},
		{decision.Request{Action: contract.Discard, Note: "spam"}, ledger.Intent{Action: contract.Discard, Note: "spam"}},
		{decision.Request{Action: contract.Retry, Note: "a rule", From: contract.StepRoute}, ledger.Intent{Action: contract.Retry, Note: "a rule", From: contract.StepRoute}},
		{decision.Request{Action: contract.Edited, Note: "drop it", Edit: &contract.Edit{Drop: []string{"aa"}}},
			ledger.Intent{Action: contract.Edited, Note: "drop it", EditID: 9, From: contract.StepInspect}},
	} {
		w := &world{result: contract.DecisionResult{State: contract.Processing, Missing: 1}}
		got, err := w.service(t).Decide(t.Context(), olga(), contract.ViaConsole, held(), row.request)
		require.NoError(t, err)
		require.Equal(t, w.result, got)
		row.want.EmailID, row.want.Actor, row.want.Via, row.want.State = 7, "olga", contract.ViaConsole, contract.Quarantined
		require.Equal(t, []ledger.Intent{row.want}, w.intents)
		require.Equal(t, []contract.Decision{{Intent: 41}}, w.sent, "Temporal gets the id and nothing else")
		require.Contains(t, w.logs.String(), `"actor":"olga","via":"console","intent":41,"state":"processing","missing":1`)
		require.NotContains(t, w.logs.String(), row.request.Note)
		require.Len(t, w.edits, len(w.intents)-1+map[bool]int{true: 1}[row.request.Edit != nil])
	}
}

// TestDecideAboutAnEmailThatWaits: the same way, rights and checks as for held mail, and the
// decision says which state its sender has seen.
func TestDecideAboutAnEmailThatWaits(t *testing.T) {
	t.Parallel()
	for state, seen := range map[contract.State]contract.State{contract.Retrying: contract.Retrying, contract.Processing: ""} {
		email := held()
		email.State = state
		w := &world{result: contract.DecisionResult{State: contract.Quarantined}}
		_, err := w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, email, decision.Request{Action: contract.Held, Note: "wait"})
		require.NoError(t, err)
		require.Equal(t, []ledger.Intent{{
			EmailID: 7, Action: contract.Held, Note: "wait", Actor: "olga", Via: contract.ViaAPI, State: seen,
		}}, w.intents)
		require.Equal(t, []contract.Decision{{Intent: 41}}, w.sent)

		otto := access.Identity{Name: "otto", Roles: map[string]access.Role{"other": access.Admin}}
		_, err = w.service(t).Decide(t.Context(), otto, contract.ViaAPI, email, decision.Request{Action: contract.Discard, Note: "no"})
		require.True(t, fault.Is(err, fault.Forbidden), err)
		require.Len(t, w.sent, 1)
	}
}

// TestDecideAboutAnEmailWithoutAWorkflow: what has its workflow ID is not its workflow
// and is not asked.
func TestDecideAboutAnEmailWithoutAWorkflow(t *testing.T) {
	t.Parallel()
	email := held()
	email.StartRefused = true
	w := &world{result: contract.DecisionResult{State: contract.Processing}}
	got, err := w.service(t).Decide(t.Context(), olga(), contract.ViaConsole, email, decision.Request{Action: contract.Retry, Note: "mended"})
	require.NoError(t, err)
	require.Equal(t, contract.Processing, got.State)
	require.Equal(t, [][2]int64{{7, 41}}, w.refused)
	require.Empty(t, w.sent)

	otto := access.Identity{Name: "otto", Roles: map[string]access.Role{"other": access.Admin}}
	_, err = w.service(t).Decide(t.Context(), otto, contract.ViaConsole, email, decision.Request{Action: contract.Discard, Note: "no"})
	require.True(t, fault.Is(err, fault.Forbidden), err)
	require.Len(t, w.refused, 1)
}

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	fine := decision.Request{Action: contract.Approve, Note: "fine"}
	for name, row := range map[string]struct {
		who     access.Identity
		request decision.Request
		code    fault.Code
	}{
		"nobody":            {access.Identity{}, fine, fault.Forbidden},
		"a viewer":          {access.Identity{Name: "vera", Roles: map[string]access.Role{access.Everywhere: access.Viewer}}, fine, fault.Forbidden},
		"another tenant":    {access.Identity{Name: "otto", Roles: map[string]access.Role{"other": access.Admin}}, fine, fault.Forbidden},
		"without a name":    {access.Identity{Roles: olga().Roles}, fine, fault.Forbidden},
		"unknown action":    {olga(), decision.Request{Action: "release", Note: "x"}, fault.RequestInvalid},
		"no note":           {olga(), decision.Request{Action: contract.Approve, Note: " \n"}, fault.RequestInvalid},
		"a long note":       {olga(), decision.Request{Action: contract.Approve, Note: strings.Repeat("x", contract.MaxNote+1)}, fault.RequestInvalid},
		"an escape":         {olga(), decision.Request{Action: contract.Approve, Note: "x\x1b[2J"}, fault.RequestInvalid},
		"an edit of none":   {olga(), decision.Request{Action: contract.Edited, Note: "x"}, fault.RequestInvalid},
		"approve with edit": {olga(), decision.Request{Action: contract.Approve, Note: "x", Edit: &contract.Edit{}}, fault.RequestInvalid},
		"approve from":      {olga(), decision.Request{Action: contract.Approve, Note: "x", From: contract.StepStore}, fault.RequestInvalid},
		"unknown step":      {olga(), decision.Request{Action: contract.Retry, Note: "x", From: "enrol"}, fault.RequestInvalid},
	} {
		w := &world{}
		_, err := w.service(t).Decide(t.Context(), row.who, contract.ViaAPI, held(), row.request)
		require.True(t, fault.Is(err, row.code), "%s: %v", name, err)
		require.Empty(t, w.intents, name)
		require.Empty(t, w.sent, name)
	}
}

// TestSecondIsToldWhoCameFirst, by the workflow while it runs, and from the ledger
// once it does not.
func TestSecondIsToldWhoCameFirst(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 12, 3, 0, 0, time.UTC)
	first := &ledger.DecisionRow{Action: contract.Discard, Actor: "ada", Via: "console", At: at}
	const sentence = "this email is not held any more: ada discarded it at 12:03 UTC (25 Nov 2026) through the console"
	fine := decision.Request{Action: contract.Approve, Note: "fine"}

	w := &world{err: fault.New(fault.DecisionRefused, "ada approved it")}
	_, err := w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, held(), fine)
	require.Equal(t, "ada approved it", fault.From(err).Public)

	w = &world{last: first, err: fault.Wrap(fault.DecisionRefused, "no workflow", temporal.ErrNotOpen)}
	_, err = w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, held(), fine)
	require.True(t, fault.Is(err, fault.DecisionRefused))
	require.Equal(t, sentence, fault.From(err).Public)

	closed := held()
	closed.State = contract.Discarded
	w = &world{last: first}
	_, err = w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, closed, fine)
	require.Equal(t, sentence, fault.From(err).Public)
	require.Empty(t, w.intents, "what has ended needs no intent")

	w = &world{lastErr: errors.New("away")}
	_, err = w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, closed, fine)
	require.Equal(t, "this email is not held", fault.From(err).Public)
	require.True(t, fault.Is(err, fault.DecisionRefused))
}

// TestEmailWhoseWorkflowIsLost: a decision about an email that the ledger calls held, and
// that Temporal does not know, was refused with "this email is not held".
func TestEmailWhoseWorkflowIsLost(t *testing.T) {
	t.Parallel()
	w := &world{err: fault.Wrap(fault.DecisionRefused, "no workflow", temporal.ErrNotOpen)}
	_, err := w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, held(), decision.Request{Action: contract.Retry, Note: "x"})
	require.True(t, fault.Is(err, fault.DecisionRefused))
	require.Equal(t, "Temporal has no open workflow of this email. If its state stays held, replay it from routing: that starts it again",
		fault.From(err).Public)
}

func TestEditThatCannotBe(t *testing.T) {
	t.Parallel()
	edit := decision.Request{Action: contract.Edited, Note: "x", Edit: &contract.Edit{To: []string{"nowhere"}}}
	w := &world{editErr: fault.New(fault.RequestInvalid, "no destination is named so")}
	_, err := w.service(t).Decide(t.Context(), olga(), contract.ViaAPI, held(), edit)
	require.Equal(t, "no destination is named so", fault.From(err).Public)
	require.Empty(t, w.intents)
}

func TestNewChecks(t *testing.T) {
	t.Parallel()
	_, err := decision.New(decision.Deps{})
	require.Error(t, err)
}
