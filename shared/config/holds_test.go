package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

func loadHolds(t *testing.T, more string) *File {
	t.Helper()
	f, err := load(t.Context(), "m.yaml", []byte(example+more), RoleAll, resolver(environment(nil)), now())
	require.NoError(t, err)
	return f
}

func TestHoldPlans(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * 3600
	f := loadHolds(t, "")
	require.Equal(t, Discard{Content: DiscardKeep, After: 168 * time.Hour}, f.Discard)
	require.Equal(t, contract.HoldPlan{RemindSeconds: 4 * 3600, EscalateSeconds: 24 * 3600, RepeatSeconds: week, Approvals: 1},
		f.Plan([]contract.Reason{contract.Infected}))

	f = loadHolds(t, `
approvals: {infected: 2, unscannable: 3}
holds:
  remind: 30m
  notify: ticketing
  link: https://mailroom.example
  reasons:
    infected: {escalate: 2h, deadline: 720h, at_deadline: discard}
    unscannable: {remind: 3h, deadline: 100h, at_deadline: discard}
    manual_hold: {deadline: 1h, at_deadline: release}
    unroutable: {remind: 48h, escalate: 72h}
`)
	for name, row := range map[string]struct {
		reasons []contract.Reason
		want    contract.HoldPlan
	}{
		"a reason's own":      {[]contract.Reason{contract.Infected}, contract.HoldPlan{RemindSeconds: 1800, EscalateSeconds: 7200, RepeatSeconds: week, DeadlineSeconds: 720 * 3600, AtDeadline: "discard", Approvals: 2}},
		"none of its own":     {[]contract.Reason{contract.TooLarge}, contract.HoldPlan{RemindSeconds: 1800, EscalateSeconds: 24 * 3600, RepeatSeconds: week, Approvals: 1}},
		"later than all":      {[]contract.Reason{contract.Unroutable}, contract.HoldPlan{RemindSeconds: 48 * 3600, EscalateSeconds: 72 * 3600, RepeatSeconds: week, Approvals: 1}},
		"the most careful":    {[]contract.Reason{contract.Infected, contract.Unscannable}, contract.HoldPlan{RemindSeconds: 1800, EscalateSeconds: 7200, RepeatSeconds: week, DeadlineSeconds: 720 * 3600, AtDeadline: "discard", Approvals: 3}},
		"policies that clash": {[]contract.Reason{contract.Infected, contract.ManualHold}, contract.HoldPlan{RemindSeconds: 1800, EscalateSeconds: 7200, RepeatSeconds: week, Approvals: 2}},
		"one without":         {[]contract.Reason{contract.ManualHold, contract.TooLarge}, contract.HoldPlan{RemindSeconds: 1800, EscalateSeconds: 24 * 3600, RepeatSeconds: week, Approvals: 1}},
	} {
		require.Equal(t, row.want, f.Plan(row.reasons), name)
	}
}

func TestHoldMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"approvals: {infected: 0}":                                                      "approvals.infected: must be at least 1",
		"approvals: {infected: 6}":                                                      "approvals.infected: must be at most 5",
		"approvals: {infect: 2}":                                                        "approvals.infect: is not a reason that Mailroom knows",
		"holds: {notify: absent}":                                                       `holds.notify: no destination is named "absent"`,
		"holds: {link: \"javascript:alert(1)\"}":                                        "holds.link: must",
		"holds: {remind: 0s}":                                                           "holds.remind: must be a duration above zero",
		"holds: {escalate: 3h}":                                                         "holds.escalate: must not come before the reminder, 4h0m0s",
		"holds: {reasons: {infected: {remind: 2h, escalate: 1h}}}":                      "holds.reasons.infected.escalate: must not come before the reminder, 2h0m0s",
		"holds: {reasons: {infected: {deadline: 2h}}}":                                  "holds.reasons.infected.at_deadline: must say what happens",
		"holds: {reasons: {infected: {at_deadline: keep}}}":                             "holds.reasons.infected.deadline: must say when",
		"holds: {reasons: {infected: {deadline: 2h, at_deadline: drop}}}":               "holds.reasons.infected.at_deadline: ",
		"holds: {reasons: {everything: {deadline: 2h, at_deadline: keep}}}":             "holds.reasons.everything: is not a reason",
		"discard: {content: shred}":                                                     "discard.content: ",
		"discard: {after: -1h}":                                                         "discard.after: must be a duration",
		"holds: {reasons: {infected: {deadline: 2h, at_deadline: keep, approvals: 2}}}": "holds.reasons.infected.approvals: is not a field",
	} {
		found := mistakes(t, example+"\n"+text+"\n", nil)
		require.Len(t, found, 1, text)
		require.Contains(t, found[0], want, text)
	}
}
