package ingress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
)

// openWithoutDatabase gives a door whose database is away and whose Temporal is there.
func openWithoutDatabase(t *testing.T) *door {
	t.Helper()
	d := openDoor(t)
	d.ledger.refuse = func(context.Context, []postgres.Acceptance) error { return errAway }
	d.workflows.once()
	return d
}

func TestTemporalTakesWhatTheDatabaseCannot(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	body := mailOf("evt_1")
	got := d.send(t, body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.JSONEq(t, `{"ok":true,"status":"ok","id":"evt_1","duplicate":false}`, got.body)
	require.Equal(t, []string{"evt_1"}, d.workflows.ids())
	in := d.workflows.inputs[0]
	require.Zero(t, in.Email.ID)
	require.Equal(t, int64(len(body)), in.Email.Size)
	require.Equal(t, contract.Digest(sha256.Sum256([]byte(body))), in.Carried.BodySHA256)
	plain, err := seal.Keyring{}.Open(*in.Carried.Body, contract.MaxCarried)
	require.NoError(t, err)
	require.Equal(t, body, string(plain))
	require.Equal(t, contract.Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:WEBHOOK_SECRET"}, in.Carried.Verified)
	require.Equal(t, 1, counted(t, d.server.metrics.carried.WithLabelValues("mailparse", "inserted")))

	// The same again is a repeat; another body under its id is kept as a conflict.
	require.Contains(t, d.send(t, body).body, `"duplicate":true`)
	other := body[:len(body)-1] + `,"text":"other"}`
	require.Contains(t, d.send(t, other).body, `"duplicate":false`)
	conflict := contract.ConflictWorkflowID("mailparse", "evt_1", sha256.Sum256([]byte(other)))
	require.Equal(t, conflict, d.workflows.ids()[len(d.workflows.ids())-1])
	require.Equal(t, conflict, d.workflows.inputs[len(d.workflows.inputs)-1].Email.WorkflowID)
	require.Contains(t, d.send(t, other).body, `"duplicate":true`)
}

// TestCarriedSizes: up to 1 MiB an event needs neither database nor object store,
// above it needs one of them.
func TestCarriedSizes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size   int
		store  error
		status int
		inline bool
	}{
		"small":                     {inlineMax, nil, http.StatusOK, true},
		"named":                     {inlineMax + 1, nil, http.StatusOK, false},
		"large":                     {contract.MaxCarried + 1, nil, http.StatusOK, false},
		"named, no object store":    {inlineMax + 1, io.ErrClosedPipe, http.StatusOK, true},
		"at the bound, no store":    {contract.MaxCarried, io.ErrClosedPipe, http.StatusOK, true},
		"above the bound, no store": {contract.MaxCarried + 1, io.ErrClosedPipe, http.StatusServiceUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openWithoutDatabase(t)
			d.bodies.err = c.store
			body := padded("evt_1", c.size)
			got := d.post(t, sign(body), bytes.NewReader(body), -1)
			require.Equal(t, c.status, got.status, got.body)
			if c.status != http.StatusOK {
				require.Empty(t, d.workflows.ids())
				return
			}
			in := d.workflows.inputs[0].Carried
			require.Equal(t, c.inline, in.Body != nil)
			if c.inline {
				plain, err := seal.Keyring{}.Open(*in.Body, contract.MaxCarried)
				require.NoError(t, err)
				require.True(t, bytes.Equal(body, plain))
			} else {
				require.Equal(t, contract.EventBodyKey(sha256.Sum256(body), "evt_1"), in.BodyKey)
			}
		})
	}
}

// TestObjectStoreAway: bodies up to 1 MiB wait in the row.
func TestObjectStoreAway(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.bodies.err = errors.New("away")
	for _, size := range []int{inlineMax + 1, memoryMax, memoryMax + 1} {
		body := padded("evt_"+sumOf([]byte{byte(size)})[:8], size)
		got := d.post(t, sign(body), bytes.NewReader(body), -1)
		if size > contract.MaxCarried {
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			continue
		}
		require.Equal(t, http.StatusOK, got.status, got.body)
		row := d.ledger.rows[len(d.ledger.rows)-1]
		require.Empty(t, row.BodyKey)
		require.True(t, bytes.Equal(body, row.Body))
	}
	require.Equal(t, 2, counted(t, d.server.metrics.inlined))
	require.Empty(t, d.server.intake.copies)
}

// TestHungObjectStore: a store that takes nothing is given up in time.
func TestHungObjectStore(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.bodies.hang = true
	body := padded("evt_1", inlineMax+1)
	require.Equal(t, http.StatusOK, d.post(t, sign(body), bytes.NewReader(body), -1).status)
	require.True(t, bytes.Equal(body, d.ledger.rows[0].Body))
}

// TestUnknownWorkflowIsNoRepeat: what has the id and says nothing of its body may
// be another event. The workflow of a conflict finds out.
func TestUnknownWorkflowIsNoRepeat(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	_, _ = d.workflows.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "evt_1"}, contract.InboundEmailWorkflow, contract.InboundEmailInput{})
	got := d.send(t, mailOf("evt_1"))
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, d.workflows.ids()[len(d.workflows.ids())-1], "evt_1~")
}

// TestTerminatedWorkflowIsNoRepeat: a workflow that ended without its own doing
// makes no 200.
func TestTerminatedWorkflowIsNoRepeat(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
	d.workflows.mu.Lock()
	d.workflows.ended = true
	d.workflows.mu.Unlock()
	got := d.send(t, mailOf("evt_1"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Contains(t, d.log.String(), "workflow.ended_early")
}

// TestHungDatabaseIsCarried: from the moment the database hangs Temporal takes each
// event; nobody who came in between is turned away.
func TestHungDatabaseIsCarried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.ledger.refuse = func(ctx context.Context, _ []postgres.Acceptance) error { <-ctx.Done(); return errAway }
		d.workflows.once()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		var group sync.WaitGroup
		for i := range 60 { // for three seconds
			group.Go(func() {
				require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
			})
			<-tick.C
		}
		group.Wait()
	})
}

// TestLateEventIsCarriedAllTheSame: an event that has waited long is still started,
// with the time that is left to it. That Temporal did not answer in so little time
// does not count against it.
func TestLateEventIsCarriedAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		late := func(id string, left time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			_, err := d.server.acceptor.carrier.carry(ctx, postgres.Acceptance{
				Source: "mailparse", WorkflowID: id, EventID: id, Body: []byte(mailOf(id)),
			})
			return err
		}
		d.workflows.setAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		for i := range 2 * carryFailures {
			require.Error(t, late("evt_hung_"+strconv.Itoa(i), answerTime+leastCarry))
		}
		d.workflows.setAnswer(nil)
		require.NoError(t, late("evt_1", answerTime+leastCarry))
		for range carryFailures {
			require.Error(t, late("evt_2", answerTime+leastCarry-1), "nothing is begun that cannot be answered")
		}
		require.NoError(t, late("evt_3", answerTime+leastCarry), "nor does that count")
	})
}

// TestTrialSpeaksForAll: after an outage of Temporal that is over, the first events that
// come side by side while the database is away are all taken, not one of them.
func TestTrialSpeaksForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.ledger.refuse = func(context.Context, []postgres.Acceptance) error { return errAway }
		d.workflows.setAnswer(func(context.Context, string) error { return errAway })
		for i := range carryFailures {
			require.Equal(t, http.StatusServiceUnavailable, d.send(t, mailOf("evt_away_"+strconv.Itoa(i))).status)
		}
		<-time.After(carryPause + time.Millisecond)
		all := func(prefix string, want int) (soon int64) {
			var group sync.WaitGroup
			var answered atomic.Int64 // about when the wait for the trial ends
			began := time.Now()
			for i := range 20 {
				group.Go(func() {
					require.Equal(t, want, d.send(t, mailOf(prefix+strconv.Itoa(i))).status)
					if time.Since(began) <= trialWait+2*trialTick {
						answered.Add(1)
					}
				})
			}
			group.Wait()
			require.Less(t, time.Since(began), 5*time.Second)
			return answered.Load()
		}
		d.workflows.setAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		require.EqualValues(t, 19, all("evt_hung_", http.StatusServiceUnavailable), "but for the one that tries")
		<-time.After(carryPause + time.Millisecond)
		d.workflows.setAnswer(func(context.Context, string) error { <-time.After(200 * time.Millisecond); return nil })
		require.EqualValues(t, 20, all("evt_back_", http.StatusOK))
	})
}

// TestWhoLeavesSaysNothing: a sender that gives up soon is not held against Temporal.
func TestWhoLeavesSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.workflows.setAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		carry := func(id string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			defer time.AfterFunc(fairCarry/2, cancel).Stop()
			_, err := d.server.acceptor.carrier.carry(ctx, postgres.Acceptance{
				Source: "mailparse", WorkflowID: id, EventID: id, Body: []byte(mailOf(id)),
			})
			return err
		}
		for i := range 2 * carryFailures {
			require.Error(t, carry("evt_left_"+strconv.Itoa(i)))
		}
		d.workflows.setAnswer(nil)
		require.NoError(t, carry("evt_1"))

		// Nor is one that leaves before there is a place for it.
		places := d.server.acceptor.carrier.(*temporalCarrier).places
		for range cap(places) {
			places <- struct{}{}
		}
		for i := range carryFailures {
			require.Error(t, carry("evt_outside_"+strconv.Itoa(i)))
		}
		for range cap(places) {
			places.give()
		}
		require.NoError(t, carry("evt_2"))
	})
}

// TestEverythingHangs: five seconds are the bound for any body, also for one that
// waits for its turn behind larger ones.
func TestEverythingHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.bodies.hang = true
		d.ledger.refuse = func(ctx context.Context, _ []postgres.Acceptance) error { <-ctx.Done(); return errAway }
		d.workflows.setAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		var group sync.WaitGroup
		post := func(id string, size int) {
			body := padded(id, size)
			h, began := sign(body), time.Now()
			require.Equal(t, http.StatusServiceUnavailable, d.post(t, h, bytes.NewReader(body), -1).status)
			require.Less(t, time.Since(began), 5*time.Second, id)
		}
		for i := range maxUploads {
			group.Go(func() { post("large_"+strconv.Itoa(i), 2<<20) })
		}
		eventually(t, func() bool { return len(d.server.uploads) == maxUploads }, "all places are taken")
		group.Go(func() { post("middle", 200<<10) })
		group.Wait()
	})
}
