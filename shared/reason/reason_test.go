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
