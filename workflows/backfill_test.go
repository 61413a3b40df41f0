package workflows_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// viaFallback makes an input that of an event which came while the database was unavailable.
func viaFallback(in *contract.InboundEmailInput) {
	in.Email.ID = 0
	in.Fallback = &contract.FallbackEvent{BodySHA256: [32]byte{1}, Body: &contract.Sealed{KeyID: "k", Data: []byte("sealed")}}
}

func fallbackScenarios() []scenario {
	return []scenario{
		{name: "fallback", end: contract.Delivered, effects: ticketing, input: viaFallback},
		{name: "fallback_in_the_object_store", end: contract.Delivered, effects: ticketing,
			input: func(in *contract.InboundEmailInput) {
				viaFallback(in)
				in.Email.Size = contract.LargeMail + 1
				in.Fallback.Body, in.Fallback.BodyKey = nil, "body/ab/abcd"
			}},
		{name: "fallback_database_unavailable", end: contract.Delivered, effects: ticketing, input: viaFallback,
			script: func(s *script) {
				s.backfill = func(n int, in contract.BackfillInput) (contract.BackfillResult, error) {
					if n < 3 {
						return contract.BackfillResult{}, failure(fault.StorageUnavailable, 0)
					}
					return row(in), nil
				}
			}},
		{name: "fallback_duplicate", end: contract.Duplicate, effects: map[string]int{}, input: viaFallback,
			script: func(s *script) {
				s.backfill = func(int, contract.BackfillInput) (contract.BackfillResult, error) {
					return contract.BackfillResult{Duplicate: true, State: contract.Duplicate}, nil
				}
			}},
		{name: "fallback_conflict", end: contract.Delivered, effects: ticketing, input: viaFallback,
			held: []contract.Reason{contract.IDConflict},
			script: func(s *script) {
				s.backfill = func(n int, in contract.BackfillInput) (contract.BackfillResult, error) {
					if n < 2 {
						return contract.BackfillResult{FirstMissing: true}, nil
					}
					in.Hold = &contract.Hold{Reason: contract.IDConflict, Detail: "hashes aa and bb"}
					return row(in), nil
				}
			},
			decisions: []contract.Decision{decide(contract.Approve)}},
		{name: "fallback_unreadable", end: contract.Discarded, effects: map[string]int{}, input: viaFallback, rowless: true,
			held: []contract.Reason{contract.Internal}, script: unreadable,
			decisions: []contract.Decision{decide(contract.Discard)}},
	}
}

// unreadable lets the content be lost until a person discards it.
func unreadable(s *script) {
	s.backfill = func(_ int, in contract.BackfillInput) (contract.BackfillResult, error) {
		if !in.Discarded {
			return contract.BackfillResult{}, failure(fault.ContentLost, 0)
		}
		return row(in), nil
	}
}

func fallbackInput() contract.InboundEmailInput {
	in := input()
	viaFallback(&in)
	return in
}

// TestLargestFallbackOnServer: the longest event that may be started with passes the
// limits of the server twice, in the input of the workflow and in that of the
// activity that waits for the database.
func TestLargestFallbackOnServer(t *testing.T) {
	t.Parallel()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	noise := make([]byte, contract.MaxFallbackBody+contract.MaxFallbackBody/256) // as it is where it cannot be compressed
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	sc := scenario{name: "fallback_largest", end: contract.Delivered, effects: ticketing,
		input: func(in *contract.InboundEmailInput) {
			viaFallback(in)
			in.Email.Size, in.Fallback.Body.Data = contract.MaxFallbackBody, noise
		},
		script: func(s *script) {
			s.backfill = func(n int, in contract.BackfillInput) (contract.BackfillResult, error) {
				if n < 2 || !bytes.Equal(noise, in.Fallback.Body.Data) {
					return contract.BackfillResult{}, failure(fault.StorageUnavailable, 0)
				}
				return row(in), nil
			}
		}}
	history := runOnServer(t, c, sc, false)
	require.NoError(t, newReplayer().ReplayWorkflowHistory(nil, history))
}

// TestBackfillWaitsForAsLongAsItTakes: no length of an outage holds an email that has
// no row; it stays visible as waiting, and goes on by itself.
func TestBackfillWaitsForAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	s, back := newScript(), false
	e := env(t, s)
	s.backfill = func(_ int, in contract.BackfillInput) (contract.BackfillResult, error) {
		if !back {
			return contract.BackfillResult{}, failure(fault.StorageUnavailable, time.Hour)
		}
		return row(in), nil
	}
	const outage = 70 * 24 * time.Hour // beyond two budgets
	for _, after := range []time.Duration{time.Minute, 29 * 24 * time.Hour, 45 * 24 * time.Hour, outage} {
		e.RegisterDelayedCallback(func() {
			st := status(t, e)
			require.Equal(t, contract.Retrying, st.State)
			require.Equal(t, contract.StorageUnavailable, st.Reason)
			require.Contains(t, st.Detail, "backfill: ")
			back = after == outage
		}, after)
	}
	e.ExecuteWorkflow(workflows.InboundEmail, fallbackInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, []contract.State{contract.Delivered}, s.calls.states(), "the ledger learns nothing of the time before")
}

// TestBackfillKeepsWhatTheLedgerSays: from then on the row counts, not the input.
func TestBackfillKeepsWhatTheLedgerSays(t *testing.T) {
	t.Parallel()
	s, in := newScript(), fallbackInput()
	in.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "of the input"}
	s.backfill = func(_ int, in contract.BackfillInput) (contract.BackfillResult, error) {
		out := row(in)
		out.Email.CorrelationID, out.ReceivedAtUnixMilli, out.State = "c-of-the-row", 42, contract.Quarantined
		out.Hold = nil
		return out, nil
	}
	e := env(t, s)
	e.ExecuteWorkflow(workflows.InboundEmail, in)
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, []contract.State{contract.Processing, contract.Delivered}, s.calls.states(), "it is not held any more")
	for _, r := range s.calls.records {
		require.Equal(t, "c-of-the-row", r.Email.CorrelationID)
		require.EqualValues(t, 42, r.ReceivedAtUnixMilli)
	}
	require.Equal(t, "c-of-the-row", s.calls.delivers[0].Email.CorrelationID)
	require.Equal(t, in.Hold, s.calls.backfills[0].Hold)
	require.Equal(t, *in.Fallback, s.calls.backfills[0].Fallback)
}

// TestBackfillConflictGetsTheIDInTheEnd: when the first never comes, which is not
// counted while the ledger is unavailable.
func TestBackfillConflictGetsTheIDInTheEnd(t *testing.T) {
	t.Parallel()
	s := newScript()
	e := env(t, s)
	began := e.Now()
	var asked time.Time
	s.backfill = func(n int, in contract.BackfillInput) (contract.BackfillResult, error) {
		switch {
		case in.TakeEventID:
			asked = e.Now()
			return row(in), nil
		case n == 1 && asked.IsZero() || n == 2:
			return contract.BackfillResult{}, failure(fault.StorageUnavailable, time.Hour)
		}
		return contract.BackfillResult{FirstMissing: true}, nil
	}
	e.RegisterDelayedCallback(func() {
		st := status(t, e)
		require.Equal(t, contract.Retrying, st.State)
		require.Equal(t, contract.IDConflict, st.Reason)
	}, 500*time.Millisecond)
	e.ExecuteWorkflow(workflows.InboundEmail, fallbackInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	require.GreaterOrEqual(t, asked.Sub(began), time.Hour+15*time.Minute)
	require.Less(t, asked.Sub(began), 3*time.Hour)
}

// TestUnreadableIsTriedAgain: the provider may send the event again, or the key be
// put back, and a person then says retry.
func TestUnreadableIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.backfill = func(n int, in contract.BackfillInput) (contract.BackfillResult, error) {
		if n < 2 {
			return contract.BackfillResult{}, failure(fault.ContentLost, 0)
		}
		return row(in), nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalRetry, contract.Decision{Actor: "ada"}) }, time.Hour)
	e.RegisterDelayedCallback(func() { // nothing there is to waive
		require.Equal(t, contract.Internal, status(t, e).Reason)
		e.SignalWorkflow(contract.SignalApprove, contract.Decision{Actor: "ada"})
	}, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, fallbackInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	decided := 0
	for _, r := range s.calls.records {
		if r.Decision != nil {
			decided++
		}
	}
	require.Equal(t, 2, decided, "decisions from before the row reach the ledger")
	require.Zero(t, s.calls.homeless)
}

// TestUnreadableDiscardedForAnotherBody: the discard was about what could not be
// read; what came under the same id since goes on.
func TestUnreadableDiscardedForAnotherBody(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.backfill = func(_ int, in contract.BackfillInput) (contract.BackfillResult, error) {
		if !in.Discarded {
			return contract.BackfillResult{}, failure(fault.ContentLost, 0)
		}
		out := row(in)
		out.OtherBody = true
		return out, nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, fallbackInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	require.Nil(t, s.calls.backfills[len(s.calls.backfills)-1].Fallback.Body)
	require.Equal(t, []contract.State{contract.Processing, contract.Delivered}, s.calls.states())
}

// TestDiscardedElsewhere: a discard without a row to write it to ends all the same.
func TestDiscardedElsewhere(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]func() (contract.BackfillResult, error){
		"elsewhere": func() (contract.BackfillResult, error) { return contract.BackfillResult{Duplicate: true}, nil },
		"a bug": func() (contract.BackfillResult, error) {
			return contract.BackfillResult{}, failure(fault.ContentLost, 0)
		},
	} {
		s := newScript()
		s.backfill = func(_ int, in contract.BackfillInput) (contract.BackfillResult, error) {
			if in.Discarded {
				return last()
			}
			return contract.BackfillResult{}, failure(fault.ContentLost, 0)
		}
		e := env(t, s)
		e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, time.Hour)
		e.ExecuteWorkflow(workflows.InboundEmail, fallbackInput())
		require.NoError(t, e.GetWorkflowError(), name)
		var out contract.InboundEmailResult
		require.NoError(t, e.GetWorkflowResult(&out))
		require.Equal(t, contract.Discarded, out.State, name)
		require.Empty(t, s.calls.records, name)
	}
}
