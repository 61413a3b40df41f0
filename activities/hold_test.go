package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// holdWorld is what Holds works with.
type holdWorld struct {
	attended []contract.RemindInput
	sent     []ledger.Delivery
	bodies   [][]byte
	err      error
	standing ledger.Standing
	manifest *ledger.Manifest
}

func (w *holdWorld) Plan(in contract.HoldInput) contract.HoldPlan {
	return contract.HoldPlan{Approvals: len(in.Reasons)}
}

func (w *holdWorld) Intent(context.Context, contract.IntentInput) (contract.IntentResult, error) {
	return contract.IntentResult{Action: contract.Retry, Actor: "ann"}, w.err
}

func (w *holdWorld) Attend(_ context.Context, in contract.RemindInput) error {
	w.attended = append(w.attended, in)
	return w.err
}

func (w *holdWorld) Standing(context.Context, int64) (ledger.Standing, error) {
	return w.standing, w.err
}

func (w *holdWorld) Manifest(context.Context, int64) (*ledger.Manifest, error) {
	return w.manifest, w.err
}

func (w *holdWorld) Send(ctx context.Context, _ contract.Email, d ledger.Delivery, body func(context.Context) ([]byte, error)) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	text, err := body(ctx)
	w.sent, w.bodies = append(w.sent, d), append(w.bodies, text)
	return 200, err
}

func (w *holdWorld) HonoursKey(string) bool { return true }

func (w *holdWorld) Quick(string) bool { return true }

func (w *holdWorld) Admit(string) (func(), error) { return func() {}, nil }

func (w *holdWorld) Reserve(string) (func(), bool) { return func() {}, true }

// Serves implements activities.Sender: notices are for two tenants.
func (w *holdWorld) Serves(to, tenant string) bool {
	return to == "ops" && (tenant == "acme" || tenant == "default")
}

func reminder() contract.RemindInput {
	return contract.RemindInput{
		Email: contract.Email{ID: 7, WorkflowID: "wf", EventID: "evt/1", Source: "post mark", Tenant: "acme", CorrelationID: "c-1"},
		Holds: []contract.Hold{{Reason: contract.Infected, Detail: "the invoice of Ada"}, {Reason: contract.Infected, Detail: "x"}, {Reason: contract.TooLarge}},
		Step:  "inspect", Level: 1, Number: 1, SinceUnixMilli: 1_790_000_000_000, AtUnixMilli: 1_790_014_400_000,
		DeadlineUnixMilli: 1_790_100_000_000, AtDeadline: "discard",
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	w := &holdWorld{}
	h, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, Sender: w, Gate: w, To: "ops", Link: "https://mailroom.example/"})
	require.NoError(t, err)
	in := reminder()
	require.NoError(t, h.Notify(t.Context(), in))
	require.NoError(t, h.Notify(t.Context(), in))
	key := w.sent[0].IdempotencyKey
	require.Equal(t, ledger.Delivery{EmailID: 7, Destination: "ops", IdempotencyKey: key}, w.sent[0])
	require.Equal(t, w.bodies[0], w.bodies[1], "a repeat is the same")
	require.JSONEq(t, `{"schema":"mailroom.hold.v1","idempotency_key":"`+key+`","event_id":"evt/1","workflow_id":"wf",
		"source":"post mark","tenant":"acme","correlation_id":"c-1","state":"quarantined","level":"reminder","number":1,"step":"inspect",
		"reasons":["infected","too_large"],"held_since":"2026-09-21T14:13:20Z","held_seconds":14400,
		"deadline":"2026-09-22T18:00:00Z","at_deadline":"discard","link":"https://mailroom.example/emails/evt%2F1?source=post+mark&number=7"}`, string(w.bodies[0]))
	require.NotContains(t, string(w.bodies[0]), "Ada", "a notice holds nothing of what was found")

	keys := map[string]bool{key: true}
	for _, change := range []func(*contract.RemindInput){
		func(in *contract.RemindInput) { in.Number++ },
		func(in *contract.RemindInput) { in.Deadline = true },
		func(in *contract.RemindInput) { in.SinceUnixMilli++ },
		func(in *contract.RemindInput) { in.Step = "deliver to crm" },
		func(in *contract.RemindInput) { in.Email.WorkflowID = "other" },
	} {
		other := reminder()
		change(&other)
		require.NoError(t, h.Notify(t.Context(), other))
		keys[w.sent[len(w.sent)-1].IdempotencyKey] = true
	}
	require.Len(t, keys, 6, "a key for each email, hold and reminder")

	w.err = fault.New(fault.DownstreamUnavailable, "the destination answered 503")
	requireCode(t, h.Notify(t.Context(), in), fault.DownstreamUnavailable, true)
}

// TestNoticesFollowTheirSchema holds every kind of notice against the published
// schema, and the schema against the notices: every field that is sent is described.
func TestNoticesFollowTheirSchema(t *testing.T) {
	t.Parallel()
	text := schemaText(t, "mailroom.hold.v1.json")
	schema := compiled(t, text)
	var described struct {
		Title      string
		Required   []string
		Properties map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(text), &described))
	require.Equal(t, activities.HoldSchema, described.Title)
	all := contract.RemindInput{Step: "deliver to crm"}
	for _, r := range contract.Reasons {
		all.Holds = append(all.Holds, contract.Hold{Reason: r})
	}
	for name, change := range map[string]func(*contract.RemindInput){
		"reminder":   func(*contract.RemindInput) {},
		"escalation": func(in *contract.RemindInput) { in.Level, in.Number = contract.AttentionEscalated, 7 },
		"deadline": func(in *contract.RemindInput) {
			in.Level, in.Deadline, in.Number = contract.AttentionEscalated, true, 0
		},
		"no deadline": func(in *contract.RemindInput) { in.DeadlineUnixMilli, in.AtDeadline = 0, "" },
		"keep":        func(in *contract.RemindInput) { in.AtDeadline = contract.AtDeadlineKeep },
		"release":     func(in *contract.RemindInput) { in.AtDeadline = contract.AtDeadlineRelease },
		"each reason": func(in *contract.RemindInput) { in.Holds, in.Step = all.Holds, all.Step },
		"odd event":   func(in *contract.RemindInput) { in.Email.EventID = "a b/?#%é\"<>" },
	} {
		for _, link := range []string{"", "https://mailroom.example/desk/"} {
			w := &holdWorld{}
			h, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, Sender: w, Gate: w, To: "ops", Link: link})
			require.NoError(t, err)
			in := reminder()
			change(&in)
			require.NoError(t, h.Notify(t.Context(), in))
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.bodies[0]))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(value), name)
			requireKeys(t, described.Properties, value)
			for _, field := range described.Required {
				without := maps.Clone(value.(map[string]any))
				delete(without, field)
				require.Error(t, schema.Validate(without), field)
			}
		}
	}
}

// TestReminderOfAConflictLeadsToIt: the link of one that came under a taken id led to the
// email that has the id.
func TestReminderOfAConflictLeadsToIt(t *testing.T) {
	t.Parallel()
	for workflow, want := range map[string]string{
		"evt_1":    "https://mailroom.example/emails/evt_1?source=mailparse",
		"evt_1~00": "https://mailroom.example/emails/evt_1?source=mailparse&number=9",
	} {
		w := &holdWorld{}
		h, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, Sender: w, Gate: w, To: "ops", Link: "https://mailroom.example/"})
		require.NoError(t, err)
		in := reminder()
		in.Email.ID, in.Email.Source, in.Email.EventID, in.Email.WorkflowID = 9, contract.FirstSource, "evt_1", workflow
		require.NoError(t, h.Notify(t.Context(), in))
		var got struct{ Link string }
		require.NoError(t, json.Unmarshal(w.bodies[0], &got))
		require.Equal(t, want, got.Link)
	}
}

func TestHoldsAsk(t *testing.T) {
	t.Parallel()
	w := &holdWorld{}
	h, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w})
	require.NoError(t, err)
	plan, err := h.PlanHold(t.Context(), contract.HoldInput{Reasons: contract.Reasons[:2]})
	require.NoError(t, err)
	require.Equal(t, contract.HoldPlan{Approvals: 2}, plan, "without a destination there are no notices")
	require.NoError(t, h.Notify(t.Context(), reminder()))
	require.Empty(t, w.sent)
	require.NoError(t, h.Remind(t.Context(), reminder()))
	require.Equal(t, []contract.RemindInput{reminder()}, w.attended)
	standing, err := activities.NewStanding(activities.StandingDeps{Intents: w, Emails: w})
	require.NoError(t, err)
	got, err := standing.LoadIntent(t.Context(), contract.IntentInput{Intent: 3})
	require.NoError(t, err)
	require.Equal(t, contract.IntentResult{Action: contract.Retry, Actor: "ann"}, got)

	w.err = fault.New(fault.DecisionRefused, "no such decision")
	_, err = standing.LoadIntent(t.Context(), contract.IntentInput{Intent: 3})
	requireCode(t, err, fault.DecisionRefused, false)
	w.err = errors.New("away")
	requireCode(t, h.Remind(t.Context(), reminder()), fault.Internal, true)

	told, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, Sender: w, Gate: w, To: "ops"})
	require.NoError(t, err)
	plan, err = told.PlanHold(t.Context(), contract.HoldInput{Email: contract.Email{Tenant: "acme"}})
	require.NoError(t, err)
	require.True(t, plan.Notify)
	_, err = activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, To: "ops"})
	require.Error(t, err)
	_, err = activities.NewHolds(activities.HoldsDeps{})
	require.Error(t, err)
	_, err = activities.NewStanding(activities.StandingDeps{Intents: w})
	require.Error(t, err)
}

func TestReminderLevels(t *testing.T) {
	t.Parallel()
	in := reminder()
	require.Equal(t, activities.LevelReminder, activities.ReminderLevel(in))
	in.Level = contract.AttentionEscalated
	require.Equal(t, activities.LevelEscalation, activities.ReminderLevel(in))
	in.Deadline = true
	require.Equal(t, activities.LevelDeadline, activities.ReminderLevel(in))
	text, err := json.Marshal(activities.ReminderLevels)
	require.NoError(t, err)
	require.JSONEq(t, `["reminder","escalation","deadline"]`, string(text))
}

// TestNoticesAreOfTheTenantsOfTheirDestination: what is held of other tenants is not
// told there.
func TestNoticesAreOfTheTenantsOfTheirDestination(t *testing.T) {
	t.Parallel()
	w := &holdWorld{}
	h, err := activities.NewHolds(activities.HoldsDeps{Ledger: w, Plans: w, Sender: w, Gate: w, To: "ops"})
	require.NoError(t, err)
	in := reminder()
	for tenant, want := range map[string]bool{"acme": true, "globex": false} {
		in.Email.Tenant = tenant
		plan, err := h.PlanHold(t.Context(), contract.HoldInput{Email: in.Email})
		require.NoError(t, err)
		require.Equal(t, want, plan.Notify, tenant)
		w.sent = nil
		require.NoError(t, h.Notify(t.Context(), in))
		require.Equal(t, want, len(w.sent) == 1, tenant)
	}
}
