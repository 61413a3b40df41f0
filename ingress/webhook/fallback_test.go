package webhook

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
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
)

// Bounds of the fallback and of uploads, as package accept has them.
const (
	fallbackFailures = 3
	fallbackPause    = time.Second
	trialWait        = time.Second
	trialTick        = 10 * time.Millisecond
	maxUploads       = 4
)

// openWithoutDatabase returns an ingress whose database is unavailable and whose Temporal is there.
func openWithoutDatabase(t *testing.T) *testIngress {
	t.Helper()
	d := openIngress(t)
	d.ledger.Refuse = func(context.Context, []postgres.Acceptance) error { return ingresstest.ErrUnavailable }
	d.workflows.Once()
	return d
}

func TestTemporalTakesWhatTheDatabaseCannot(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	body := mailOf("evt_1")
	got := d.send(t, body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.JSONEq(t, `{"ok":true,"status":"ok","id":"evt_1","duplicate":false}`, got.body)
	require.Equal(t, []string{"evt_1"}, d.workflows.IDs())
	in := d.workflows.Inputs[0]
	require.Zero(t, in.Email.ID)
	require.Equal(t, int64(len(body)), in.Email.Size)
	require.Equal(t, contract.Digest(sha256.Sum256([]byte(body))), in.Fallback.BodySHA256)
	plain, err := seal.Keyring{}.Open(*in.Fallback.Body, contract.MaxFallbackBody)
	require.NoError(t, err)
	require.Equal(t, body, string(plain))
	require.Equal(t, contract.Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:WEBHOOK_SECRET"}, in.Fallback.Verified)
	require.Equal(t, 1, d.gathered(t, "mailroom_events_carried_total", "inserted", "mailparse"))

	// The same again is a repeat; another body under its id is kept as a conflict.
	require.Contains(t, d.send(t, body).body, `"duplicate":true`)
	other := body[:len(body)-1] + `,"text":"other"}`
	require.Contains(t, d.send(t, other).body, `"duplicate":false`)
	conflict := contract.ConflictWorkflowID("mailparse", "evt_1", sha256.Sum256([]byte(other)))
	require.Equal(t, conflict, d.workflows.IDs()[len(d.workflows.IDs())-1])
	require.Equal(t, conflict, d.workflows.Inputs[len(d.workflows.Inputs)-1].Email.WorkflowID)
	require.Contains(t, d.send(t, other).body, `"duplicate":true`)
}

// TestFallbackSizes: up to 1 MiB an event needs neither database nor object store,
// above it needs one of them.
func TestFallbackSizes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size   int
		store  error
		status int
		inline bool
	}{
		"small":                     {inlineMax, nil, http.StatusOK, true},
		"named":                     {inlineMax + 1, nil, http.StatusOK, false},
		"large":                     {contract.MaxFallbackBody + 1, nil, http.StatusOK, false},
		"named, no object store":    {inlineMax + 1, io.ErrClosedPipe, http.StatusOK, true},
		"at the bound, no store":    {contract.MaxFallbackBody, io.ErrClosedPipe, http.StatusOK, true},
		"above the bound, no store": {contract.MaxFallbackBody + 1, io.ErrClosedPipe, http.StatusServiceUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openWithoutDatabase(t)
			d.bodies.Err = c.store
			body := padded("evt_1", c.size)
			got := d.post(t, sign(body), bytes.NewReader(body), -1)
			require.Equal(t, c.status, got.status, got.body)
			if c.status != http.StatusOK {
				require.Empty(t, d.workflows.IDs())
				return
			}
			in := d.workflows.Inputs[0].Fallback
			require.Equal(t, c.inline, in.Body != nil)
			if c.inline {
				plain, err := seal.Keyring{}.Open(*in.Body, contract.MaxFallbackBody)
				require.NoError(t, err)
				require.True(t, bytes.Equal(body, plain))
			} else {
				require.Equal(t, contract.EventBodyKey(sha256.Sum256(body), "evt_1"), in.BodyKey)
			}
		})
	}
}

// TestObjectStoreUnavailable: bodies up to 1 MiB wait in the row.
func TestObjectStoreUnavailable(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.bodies.Err = errors.New("away")
	for _, size := range []int{inlineMax + 1, memoryMax, memoryMax + 1} {
		body := padded("evt_"+ingresstest.SumOf([]byte{byte(size)})[:8], size)
		got := d.post(t, sign(body), bytes.NewReader(body), -1)
		if size > contract.MaxFallbackBody {
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			continue
		}
		require.Equal(t, http.StatusOK, got.status, got.body)
		row := d.ledger.Rows[len(d.ledger.Rows)-1]
		require.Empty(t, row.BodyKey)
		require.True(t, bytes.Equal(body, row.Body))
	}
	require.Equal(t, 2, ingresstest.Counted(t, d.server.metrics.inlined))
	require.True(t, d.server.receiver.bodies.copies.TryAcquire(memoryCopies))
}

// TestHungObjectStore: a store that takes nothing is given up in time.
func TestHungObjectStore(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	d.bodies.Hang = true
	body := padded("evt_1", inlineMax+1)
	require.Equal(t, http.StatusOK, d.post(t, sign(body), bytes.NewReader(body), -1).status)
	require.True(t, bytes.Equal(body, d.ledger.Rows[0].Body))
}

// TestUnknownWorkflowIsNoRepeat: what has the id and says nothing of its body may
// be another event. The workflow of a conflict finds out.
func TestUnknownWorkflowIsNoRepeat(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	_, _ = d.workflows.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "evt_1"}, contract.InboundEmailWorkflow, contract.InboundEmailInput{})
	got := d.send(t, mailOf("evt_1"))
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, d.workflows.IDs()[len(d.workflows.IDs())-1], "evt_1~")
}

// TestTerminatedWorkflowIsNoRepeat: a workflow that ended without its own doing
// makes no 200.
func TestTerminatedWorkflowIsNoRepeat(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_1")).status)
	d.workflows.Terminate()
	got := d.send(t, mailOf("evt_1"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Contains(t, d.log.String(), "workflow.ended_early")
}

// TestHungDatabaseLeavesEventsToTemporal: from the moment the database hangs Temporal takes each
// event; none that came in between is refused.
func TestHungDatabaseLeavesEventsToTemporal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.ledger.Refuse = func(ctx context.Context, _ []postgres.Acceptance) error {
			<-ctx.Done()
			return ingresstest.ErrUnavailable
		}
		d.workflows.Once()
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

// TestTrialSpeaksForAll: after an outage of Temporal that is over, the first events that
// come side by side while the database is unavailable are all taken, not one of them.
func TestTrialSpeaksForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.ledger.Refuse = func(context.Context, []postgres.Acceptance) error { return ingresstest.ErrUnavailable }
		d.workflows.SetAnswer(func(context.Context, string) error { return ingresstest.ErrUnavailable })
		for i := range fallbackFailures {
			require.Equal(t, http.StatusServiceUnavailable, d.send(t, mailOf("evt_away_"+strconv.Itoa(i))).status)
		}
		<-time.After(fallbackPause + time.Millisecond)
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
		d.workflows.SetAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		require.EqualValues(t, 19, all("evt_hung_", http.StatusServiceUnavailable), "but for the one that tries")
		<-time.After(fallbackPause + time.Millisecond)
		d.workflows.SetAnswer(func(context.Context, string) error { <-time.After(200 * time.Millisecond); return nil })
		require.EqualValues(t, 20, all("evt_back_", http.StatusOK))
	})
}

// TestEverythingHangs: five seconds are the bound for any body, also for one that
// waits for its turn behind larger ones.
func TestEverythingHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openPiped(t)
		d.bodies.Hang = true
		d.ledger.Refuse = func(ctx context.Context, _ []postgres.Acceptance) error {
			<-ctx.Done()
			return ingresstest.ErrUnavailable
		}
		d.workflows.SetAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
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
		ingresstest.Eventually(t, func() bool { return d.bodies.Hanging() == maxUploads }, "all places are taken")
		group.Go(func() { post("middle", 200<<10) })
		group.Wait()
	})
}

// TestFallbackConflictWhoseIDIsTaken: an event whose two workflow IDs were taken by
// something else was answered 200, and no workflow processes it.
func TestFallbackConflictWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	body := mailOf("evt_1")
	conflict := contract.ConflictWorkflowID("mailparse", "evt_1", sha256.Sum256([]byte(body)))
	const running, terminated = enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	for name, c := range map[string]struct {
		workflow, body string
		status         enums.WorkflowExecutionStatus
		answer         int
	}{
		"its own":            {contract.InboundEmailWorkflow, body, running, http.StatusOK},
		"its own, by force":  {contract.InboundEmailWorkflow, body, terminated, http.StatusServiceUnavailable},
		"of another kind":    {contract.ReplayWorkflow, body, running, http.StatusServiceUnavailable},
		"another body's":     {contract.InboundEmailWorkflow, "other", running, http.StatusServiceUnavailable},
		"of no known body's": {contract.InboundEmailWorkflow, "", running, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openWithoutDatabase(t)
			d.workflows.Occupy(t, "evt_1", contract.ReplayWorkflow, body, running)
			d.workflows.Occupy(t, conflict, c.workflow, c.body, c.status)
			for range 2 * fallbackFailures {
				got := d.send(t, body)
				require.Equal(t, c.answer, got.status, got.body)
			}
			if c.answer != http.StatusOK {
				require.Regexp(t, "workflow.(occupied|ended_early)", d.log.String())
			}
			require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_2")).status, "others are started")
		})
	}
}

// TestFallbackBehindAForeignWorkflow: an event whose ID another kind of workflow has is
// started as a conflict, which finds out from the ledger that it is none.
func TestFallbackBehindAForeignWorkflow(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	body := mailOf("evt_1")
	d.workflows.Occupy(t, "evt_1", contract.ReplayWorkflow, body, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)
	require.Equal(t, http.StatusOK, d.send(t, body).status)
	require.Contains(t, d.workflows.IDs()[len(d.workflows.IDs())-1], "evt_1~")
}

// TestFallbackRefusedByTemporalHarmsNoOtherEvent: it does not open the breaker.
func TestFallbackRefusedByTemporalHarmsNoOtherEvent(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	d.workflows.SetAnswer(func(_ context.Context, id string) error {
		if id == "evt_1" {
			return serviceerror.NewInvalidArgument("no")
		}
		return nil
	})
	for i := range 2 * fallbackFailures {
		require.Equal(t, http.StatusServiceUnavailable, d.send(t, mailOf("evt_1")).status, strconv.Itoa(i))
	}
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_2")).status)
	require.Contains(t, d.log.String(), "workflow.refused")
}
