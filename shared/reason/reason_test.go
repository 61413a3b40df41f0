package reason_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/reason"
)

func TestEveryReasonHasItsText(t *testing.T) {
	t.Parallel()
	for _, r := range contract.Reasons {
		x := reason.Text(r)
		require.Equal(t, string(r), x.Runbook, "an unknown reason has another anchor")
		for _, sentence := range []string{x.What, x.Next} {
			require.True(t, strings.HasSuffix(sentence, "."), "%s: %q", r, sentence)
		}
		for _, phrase := range []string{x.Approve, x.Retry, x.Discard} {
			require.NotEmpty(t, phrase, r)
			require.False(t, strings.HasSuffix(phrase, "."), "%s: %q", r, phrase)
			require.Equal(t, strings.ToLower(phrase[:1]), phrase[:1], "%s: %q continues the name of the action", r, phrase)
		}
		require.False(t, x.Unavailable && x.Fixable, r)
		require.ElementsMatch(t, []contract.Action{contract.Approve, contract.Retry, contract.Edited, contract.Discard}, x.Order, r)
	}
}

// TestApprovalsAndTextsAgree checks that texts and workflow agree about which reasons an
// approval waives.
func TestApprovalsAndTextsAgree(t *testing.T) {
	t.Parallel()
	for _, r := range contract.Reasons {
		require.Equal(t, r.Waivable(), reason.Text(r).Waived, r)
	}
}

// The page offered to approve malware first, in the colour of the button to press.
func TestTheOrderFollowsTheAdvice(t *testing.T) {
	t.Parallel()
	verbs := map[contract.Action]string{contract.Approve: "approve", contract.Discard: "discard"}
	for _, r := range contract.Reasons {
		x := reason.Text(r)
		first := strings.ToLower(strings.Fields(x.Next)[0])
		for a, verb := range verbs {
			if first == verb {
				require.Equal(t, a, x.Order[0], "%s: %s", r, x.Next)
			}
		}
		if strings.Contains(x.Next, "Do not approve") || strings.Contains(x.Next, "Approve only if") || strings.Contains(x.Next, "before you approve") {
			require.NotEqual(t, contract.Approve, x.Order[0], r)
			require.True(t, x.Risky(contract.Approve), r)
		}
	}
	require.Equal(t, contract.Discard, reason.Text(contract.Infected).Order[0])
	require.True(t, reason.Text(contract.Infected).Risky(contract.Approve))
	require.False(t, reason.Text(contract.ManualHold).Risky(contract.Approve))
	require.False(t, reason.Text(contract.Unroutable).Risky(contract.Approve), "it waives nothing")
}

// TestUnavailable lists the reasons for which mail continues by itself, without a decision.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	var got []contract.Reason
	for _, r := range contract.Reasons {
		if reason.Text(r).Unavailable {
			got = append(got, r)
		}
	}
	require.Equal(t, []contract.Reason{
		contract.ScannerUnavailable, contract.DownstreamExhausted, contract.DownstreamUnavailable, contract.StorageUnavailable,
	}, got)
}

func TestUnknownReason(t *testing.T) {
	t.Parallel()
	x := reason.Text("of_tomorrow")
	require.NotEmpty(t, x.What)
	require.False(t, x.Unavailable || x.Waived)
}

func TestDecided(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 12, 3, 59, 0, time.FixedZone("", 3600))
	require.Equal(t, "ada approved it at 11:03 UTC (25 Nov 2026) through the console", reason.Decided(contract.Decided{
		Action: contract.Approve, Actor: "ada", Via: contract.ViaConsole, AtUnixMilli: at.UnixMilli(),
	}))
	for _, a := range contract.Actions {
		require.NotEqual(t, reason.Past("?"), reason.Past(a))
	}
	for _, v := range []contract.Via{
		contract.ViaAPI, contract.ViaConsole, contract.ViaMailctl, contract.ViaReplay, contract.ViaSystem,
		contract.ViaPolicy, contract.ViaUpdate, contract.ViaSignal,
	} {
		require.NotEqual(t, reason.Through("?"), reason.Through(v))
	}
	require.Contains(t, reason.Decided(contract.Decided{}), "an unknown actor decided about it")
}
