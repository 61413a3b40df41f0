package activities_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func replayOf(id int64) func(*contract.DeliverInput) {
	return func(in *contract.DeliverInput) { in.Replay = id }
}

func newEffect(in *contract.DeliverInput) { in.NewEffect = true }

// TestReplaySkipsWhatIsTheSame: links and their times differ, the content does not.
func TestReplaySkipsWhatIsTheSame(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	require.Len(t, b.row().ContentSHA256, 32)

	b.now = b.now.Add(48 * time.Hour)
	for range 2 { // the second finds the row
		out, err := b.run(t.Context(), replayOf(3))
		require.NoError(t, err)
		require.True(t, out.Skipped)
	}
	require.Equal(t, 1, b.wire.calls)
	require.Equal(t, ledger.Skipped, b.books.deliveries["ticketing#replay-3"].State)
	require.Equal(t, ledger.Delivered, b.row().State)
}

// TestReplaySendsWhatHasChangedUnderTheSameKey: and skips it when it comes again.
func TestReplaySendsWhatHasChangedUnderTheSameKey(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil), answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	b.books.manifest.Recipients = []string{"sales@y.example"}
	out, err := b.run(t.Context(), replayOf(3))
	require.NoError(t, err)
	require.False(t, out.Skipped)
	require.Equal(t, ledger.Delivered, b.books.deliveries["ticketing#replay-3"].State)
	require.Equal(t, b.wire.keys[0], b.wire.keys[1])
	require.Contains(t, b.wire.bodies[1], "sales@y.example")

	b.now = b.now.Add(time.Hour)
	out, err = b.run(t.Context(), replayOf(4))
	require.NoError(t, err)
	require.True(t, out.Skipped, "it is what the destination got last")

	b.books.manifest.Recipients = []string{"support@y.example"}
	out, err = b.run(t.Context(), replayOf(5))
	require.NoError(t, err)
	require.False(t, out.Skipped, "what it got before the last is not what it has")
}

func TestNewEffectIsSentUnderAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	for range 2 {
		out, err := b.run(t.Context(), replayOf(3), newEffect)
		require.NoError(t, err)
		require.False(t, out.Skipped)
	}
	require.Equal(t, 2, b.wire.calls, "but once")
	require.Equal(t, contract.EffectKey("evt-1", "ticketing", "replay-3"), b.wire.keys[1])
	require.NotEqual(t, b.wire.keys[0], b.wire.keys[1])
	require.Contains(t, b.wire.bodies[1], b.wire.keys[1], "the body names the key that the header has")
	require.Equal(t, b.row().ContentSHA256, b.books.deliveries["ticketing#replay-3"].ContentSHA256)
}

// TestReplayAfterARejectionSendsAgain: only what was delivered counts as had.
func TestReplayAfterARejectionSendsAgain(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(400, fault.New(fault.DownstreamRejected, "no")), answers(200, nil))
	_, err := b.run(t.Context())
	requireCode(t, err, fault.DownstreamRejected, false)
	out, err := b.run(t.Context(), replayOf(3))
	require.NoError(t, err)
	require.False(t, out.Skipped)
	require.Equal(t, b.wire.keys[0], b.wire.keys[1])
}

// TestReplayNeverCallsACarelessDestinationTwice: it honours no key, so that only a
// new effect, or a person who was told that the effect is unknown, may call it again.
func TestReplayNeverCallsACarelessDestinationTwice(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	b.wire.careless = true
	_, err := b.run(t.Context())
	require.NoError(t, err)
	b.books.manifest.Recipients = []string{"sales@y.example"}
	out, err := b.run(t.Context(), replayOf(3))
	require.NoError(t, err)
	require.True(t, out.Skipped)
	require.Equal(t, 1, b.wire.calls)
	require.True(t, strings.Contains(b.books.deliveries["ticketing#replay-3"].LastError, "idempotency key"))
	_, err = b.run(t.Context(), replayOf(4), newEffect)
	require.NoError(t, err)
	require.Equal(t, 2, b.wire.calls)
}

func TestReplayOfAnUnknownEffectAsksAPerson(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.wire.careless = true
	b.books.deliveries = map[string]ledger.Delivery{"ticketing": {EmailID: 7, Destination: "ticketing", State: ledger.Ambiguous}}
	_, err := b.run(t.Context(), replayOf(3))
	requireCode(t, err, fault.AmbiguousEffect, false)
	require.Zero(t, b.wire.calls)
	_, err = b.run(t.Context(), replayOf(3), again)
	require.NoError(t, err)
	require.Equal(t, 1, b.wire.calls)
}

// The effect is there, its record is not: the next attempt has the same key.
func TestDeliverRepeatsWhatItCouldNotNote(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	b.books.saveFails = true
	_, err := b.run(t.Context())
	requireCode(t, err, fault.StorageUnavailable, true)
	b.books.saveFails = false
	_, err = b.run(t.Context())
	require.NoError(t, err)
	require.Len(t, slices.Compact(b.wire.keys), 1)

	// Where the call failed as well, that failure is the one that counts.
	b = setupDeliver(t, answers(400, fault.New(fault.DownstreamRejected, "a sentence")))
	b.books.saveFails = true
	_, err = b.run(t.Context())
	requireCode(t, err, fault.DownstreamRejected, false)
}

// TestRetryNowRepeatedACallOfUnknownEffect: a worker has saved that the effect of its call is
// unknown, or that it was refused, and its answer to Temporal was lost. A person who asks for
// the next attempt now has seen neither, so that none is made.
func TestRetryNowRepeatedACallOfUnknownEffect(t *testing.T) {
	t.Parallel()
	for state, code := range map[ledger.DeliveryState]fault.Code{
		ledger.Ambiguous: fault.AmbiguousEffect, ledger.Rejected: fault.DownstreamRejected,
	} {
		b := setupDeliver(t, answers(200, nil))
		b.wire.careless = true
		b.books.deliveries = map[string]ledger.Delivery{"ticketing": {EmailID: 7, Destination: "ticketing", State: state, Attempts: 1}}
		_, err := b.run(t.Context(), func(in *contract.DeliverInput) { in.Now = true })
		requireCode(t, err, code, false)
		require.Zero(t, b.wire.calls)
	}
}
