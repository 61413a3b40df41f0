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

// carry makes an input that of an event which came while the database was away.
func carry(in *contract.InboundEmailInput) {
	in.Email.ID = 0
	in.Carried = &contract.Carried{BodySHA256: [32]byte{1}, Body: &contract.Sealed{KeyID: "k", Data: []byte("sealed")}}
}

func carriedScenarios() []scenario {
	return []scenario{
		{name: "carried", end: contract.Delivered, effects: ticketing, input: carry},
		{name: "carried_in_the_object_store", end: contract.Delivered, effects: ticketing,
			input: func(in *contract.InboundEmailInput) {
				carry(in)
				in.Email.Size = contract.LargeMail + 1
				in.Carried.Body, in.Carried.BodyKey = nil, "body/ab/abcd"
			}},
		{name: "carried_database_away", end: contract.Delivered, effects: ticketing, input: carry,
			script: func(s *script) {
				s.enrol = func(n int, in contract.EnrolInput) (contract.EnrolResult, error) {
					if n < 3 {
						return contract.EnrolResult{}, failure(fault.StorageUnavailable, 0)
					}
					return row(in), nil
				}
			}},
		{name: "carried_elsewhere", end: contract.Duplicate, effects: map[string]int{}, input: carry,
			script: func(s *script) {
				s.enrol = func(int, contract.EnrolInput) (contract.EnrolResult, error) {
					return contract.EnrolResult{Elsewhere: true, State: contract.Duplicate}, nil
				}
			}},
		{name: "carried_conflict", end: contract.Delivered, effects: ticketing, input: carry,
			held: []contract.Reason{contract.IDConflict},
			script: func(s *script) {
				s.enrol = func(n int, in contract.EnrolInput) (contract.EnrolResult, error) {
					if n < 2 {
						return contract.EnrolResult{Early: true}, nil
					}
					in.Hold = &contract.Hold{Reason: contract.IDConflict, Detail: "hashes aa and bb"}
					return row(in), nil
				}
			},
			decisions: []contract.Decision{decide(contract.Approve)}},
		{name: "carried_unreadable", end: contract.Discarded, effects: map[string]int{}, input: carry, rowless: true,
			held: []contract.Reason{contract.Internal}, script: unreadable,
			decisions: []contract.Decision{decide(contract.Discard)}},
	}
}

// unreadable lets the content be lost until a person discards it.
func unreadable(s *script) {
	s.enrol = func(_ int, in contract.EnrolInput) (contract.EnrolResult, error) {
		if !in.Discarded {
			return contract.EnrolResult{}, failure(fault.ContentLost, 0)
		}
		return row(in), nil
	}
}

func carriedInput() contract.InboundEmailInput {
	in := input()
	carry(&in)
	return in
}

// TestLargestCarriedOnServer: the longest event that may be carried passes the
// limits of the server twice, in the input of the workflow and in that of the
// activity that waits for the database.
func TestLargestCarriedOnServer(t *testing.T) {
	t.Parallel()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	noise := make([]byte, contract.MaxCarried+contract.MaxCarried/256) // as it is where it cannot be compressed
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	sc := scenario{name: "carried_largest", end: contract.Delivered, effects: ticketing,
		input: func(in *contract.InboundEmailInput) {
			carry(in)
			in.Email.Size, in.Carried.Body.Data = contract.MaxCarried, noise
		},
		script: func(s *script) {
			s.enrol = func(n int, in contract.EnrolInput) (contract.EnrolResult, error) {
				if n < 2 || !bytes.Equal(noise, in.Carried.Body.Data) {
					return contract.EnrolResult{}, failure(fault.StorageUnavailable, 0)
				}
				return row(in), nil
			}
		}}
	history := runOnServer(t, c, sc, false)
	require.NoError(t, newReplayer().ReplayWorkflowHistory(nil, history))
}

// TestEnrolWaitsForAsLongAsItTakes: no length of an outage holds an email that has
// no row; it stays visible as waiting, and goes on by itself.
func TestEnrolWaitsForAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	s, back := newScript(), false
	e := env(t, s)
	s.enrol = func(_ int, in contract.EnrolInput) (contract.EnrolResult, error) {
		if !back {
			return contract.EnrolResult{}, failure(fault.StorageUnavailable, time.Hour)
		}
		return row(in), nil
	}
	const outage = 70 * 24 * time.Hour // beyond two budgets
	for _, after := range []time.Duration{time.Minute, 29 * 24 * time.Hour, 45 * 24 * time.Hour, outage} {
		e.RegisterDelayedCallback(func() {
			st := status(t, e)
			require.Equal(t, contract.Retrying, st.State)
			require.Equal(t, contract.StorageUnavailable, st.Reason)
			require.Contains(t, st.Detail, "enrol: ")
			back = after == outage
		}, after)
	}
	e.ExecuteWorkflow(workflows.InboundEmail, carriedInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, []contract.State{contract.Delivered}, s.calls.states(), "the ledger learns nothing of the time before")
}

// TestEnrolKeepsWhatTheLedgerSays: from then on the row counts, not the input.
func TestEnrolKeepsWhatTheLedgerSays(t *testing.T) {
	t.Parallel()
	s, in := newScript(), carriedInput()
	in.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "of the input"}
	s.enrol = func(_ int, in contract.EnrolInput) (contract.EnrolResult, error) {
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
	require.Equal(t, in.Hold, s.calls.enrols[0].Hold)
	require.Equal(t, *in.Carried, s.calls.enrols[0].Carried)
}

// TestEnrolConflictGetsTheIDInTheEnd: when the first never comes, which is not
// counted while the ledger is away.
func TestEnrolConflictGetsTheIDInTheEnd(t *testing.T) {
	t.Parallel()
	s := newScript()
	e := env(t, s)
	began := e.Now()
	var asked time.Time
	s.enrol = func(n int, in contract.EnrolInput) (contract.EnrolResult, error) {
		switch {
		case in.First:
			asked = e.Now()
			return row(in), nil
		case n == 1 && asked.IsZero() || n == 2:
			return contract.EnrolResult{}, failure(fault.StorageUnavailable, time.Hour)
		}
		return contract.EnrolResult{Early: true}, nil
	}
	e.RegisterDelayedCallback(func() {
		st := status(t, e)
		require.Equal(t, contract.Retrying, st.State)
		require.Equal(t, contract.IDConflict, st.Reason)
	}, 500*time.Millisecond)
	e.ExecuteWorkflow(workflows.InboundEmail, carriedInput())
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
	s.enrol = func(n int, in contract.EnrolInput) (contract.EnrolResult, error) {
		if n < 2 {
			return contract.EnrolResult{}, failure(fault.ContentLost, 0)
		}
		return row(in), nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalRetry, contract.Decision{Actor: "ada"}) }, time.Hour)
	e.RegisterDelayedCallback(func() { // nothing there is to waive
		require.Equal(t, contract.Internal, status(t, e).Reason)
		e.SignalWorkflow(contract.SignalApprove, contract.Decision{Actor: "ada"})
	}, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, carriedInput())
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
	s.enrol = func(_ int, in contract.EnrolInput) (contract.EnrolResult, error) {
		if !in.Discarded {
			return contract.EnrolResult{}, failure(fault.ContentLost, 0)
		}
		out := row(in)
		out.OtherBody = true
		return out, nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, carriedInput())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, ticketing, s.calls.effects)
	require.Nil(t, s.calls.enrols[len(s.calls.enrols)-1].Carried.Body)
	require.Equal(t, []contract.State{contract.Processing, contract.Delivered}, s.calls.states())
}

// TestDiscardedElsewhere: a discard without a row to write it to ends all the same.
func TestDiscardedElsewhere(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]func() (contract.EnrolResult, error){
		"elsewhere": func() (contract.EnrolResult, error) { return contract.EnrolResult{Elsewhere: true}, nil },
		"a bug":     func() (contract.EnrolResult, error) { return contract.EnrolResult{}, failure(fault.ContentLost, 0) },
	} {
		s := newScript()
		s.enrol = func(_ int, in contract.EnrolInput) (contract.EnrolResult, error) {
			if in.Discarded {
				return last()
			}
			return contract.EnrolResult{}, failure(fault.ContentLost, 0)
		}
		e := env(t, s)
		e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, time.Hour)
		e.ExecuteWorkflow(workflows.InboundEmail, carriedInput())
		require.NoError(t, e.GetWorkflowError(), name)
		var out contract.InboundEmailResult
		require.NoError(t, e.GetWorkflowResult(&out))
		require.Equal(t, contract.Discarded, out.State, name)
		require.Empty(t, s.calls.records, name)
	}
}
