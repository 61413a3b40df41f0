package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// stepOptions are the two ways of one class of work: fast is the budget of the
// first attempt inside the worker, durable the options of the activity that takes
// over when that attempt fails for a reason that time may cure.
type stepOptions struct {
	fast    workflow.LocalActivityOptions
	durable workflow.ActivityOptions
	// neverFast makes the first attempt an activity of its own, as for large mail.
	neverFast bool
	// firstTimeout bounds a first attempt that is an activity of its own; 0: as the later ones.
	firstTimeout time.Duration
	// late is what an attempt that did not end in time most likely waited for.
	late fault.Code
}

// Waiting: after a failed attempt the next one comes after a second, then twice as
// long each time, up to the maximum of its class. A destination or an open
// breaker may ask for a longer wait.
const (
	firstWait = time.Second
	maxWait   = 5 * time.Minute
	// longestAsk is the longest wait that a failed attempt may ask for: an hour of a
	// Retry-After, and what spreads the attempts.
	longestAsk = time.Hour + time.Minute
)

// Budgets: how long a step may wait before a person is asked. They can be set
// by configuration (retry.scan, retry.deliver) and then come with StoreResult.
const (
	defaultBudget = 24 * time.Hour
	// recordBudget is so long because no person can help an email whose end cannot be
	// written down: it waits for the ledger.
	recordBudget = 30 * 24 * time.Hour
)

// destinationAttempt bounds one attempt at a destination, fast or not. The
// configuration bounds a destination's timeout to two minutes; the rest is for
// what comes before and after the call. No attempt is cut shorter than its
// destination's timeout: a destination that has begun to work would get the same
// email a second time.
const destinationAttempt = 150 * time.Second

// heartbeatTimeout is how soon the work of a killed worker goes to another one: every
// attempt that can take longer heartbeats.
const heartbeatTimeout = 15 * time.Second

var (
	// No person is asked about an email that has no row yet: it waits for the ledger
	// as long as it takes. The budget is long because the input of the activity is the
	// whole email, which goes into the history once for each budget.
	backfillOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(10*time.Second, recordBudget, 30*time.Second), late: fault.StorageUnavailable,
	}
	storeOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(10*time.Minute, defaultBudget, time.Minute), late: fault.StorageUnavailable,
	}
	inspectOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(10*time.Minute, defaultBudget, time.Minute), late: fault.ScannerUnavailable,
	}
	routeOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(15*time.Second, defaultBudget, time.Minute), late: fault.StorageUnavailable,
	}
	deliverOptions = stepOptions{
		fast: fastWithin(destinationAttempt), durable: lasting(destinationAttempt, defaultBudget, maxWait),
		late: fault.DownstreamUnavailable,
	}
	recordOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(15*time.Second, recordBudget, time.Minute), late: fault.StorageUnavailable,
	}
	// A decision waits for the one attempt to record it.
	commitOptions = stepOptions{
		durable: recordOptions.durable, neverFast: true, firstTimeout: 2 * time.Second, late: fault.StorageUnavailable,
	}
	// The plan is read from the worker's own configuration: what fails there fails
	// for all mail, and a hold must not wait for it.
	planOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(5*time.Second, time.Minute, 15*time.Second), late: fault.Internal,
	}
	// A reminder that does not get through within the hour is old: the next one says
	// the same.
	remindOptions = stepOptions{
		fast: fastAttempt(), durable: lasting(15*time.Second, time.Hour, maxWait), late: fault.StorageUnavailable,
	}
	// A notice goes to a destination as mail does.
	notifyOptions = stepOptions{
		fast: fastWithin(destinationAttempt), durable: lasting(destinationAttempt, time.Hour, maxWait),
		late: fault.DownstreamUnavailable,
	}
)

// The options of the workflows about many emails.
var (
	// A part whose worker is killed is taken over by another worker soon.
	chunkOptions   = lasting(chunkSeconds*time.Second+2*time.Minute, recordBudget, 30*time.Second)
	previewOptions = lasting(30*time.Minute, 24*time.Hour, time.Minute)
	controlOptions = workflow.LocalActivityOptions{
		StartToCloseTimeout:    2 * time.Second,
		ScheduleToCloseTimeout: 8 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, MaximumAttempts: 4},
	}
	// Maintenance fails soon: the schedule starts it again in a minute.
	maintenanceOptions = workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 2},
	}
)

// fastAttempt returns the budget of a first attempt: one attempt of two seconds, well within
// a workflow task.
func fastAttempt() workflow.LocalActivityOptions { return fastWithin(2 * time.Second) }

// fastWithin returns the budget of a first attempt that may take longer. A workflow task
// that waits for one is renewed before it times out, and holds one of the worker's
// slots: the activity itself must see to it that few last long.
func fastWithin(attempt time.Duration) workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		StartToCloseTimeout: attempt,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}

// intentOptions bound how long a decision waits for the ledger, well within the time
// that our programs wait for the answer of an update.
func intentOptions() workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		StartToCloseTimeout:    2 * time.Second,
		ScheduleToCloseTimeout: 6 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumAttempts: 5},
	}
}

// lasting returns the options of an activity that is tried until its budget is spent.
func lasting(attempt, budget, longest time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout:    attempt,
		ScheduleToCloseTimeout: budget,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    firstWait,
			BackoffCoefficient: 2,
			MaximumInterval:    longest,
		},
	}
}

// within returns o with another budget; zero or less keeps the one it has.
func (o stepOptions) within(seconds int64) stepOptions {
	if seconds > 0 {
		o.durable.ScheduleToCloseTimeout = time.Duration(seconds) * time.Second
	}
	return o
}

// once returns the options of a first attempt that is an activity of its own: large
// mail takes longer than a workflow task may.
func (o stepOptions) once() workflow.ActivityOptions {
	first := o.durable
	first.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	if o.firstTimeout > 0 {
		first.StartToCloseTimeout = o.firstTimeout
	}
	return first
}

// large reports whether mail takes the durable way from the first attempt on.
func large(e contract.Email) bool { return e.Size > contract.LargeMail }
