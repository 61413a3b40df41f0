package workflows

import (
	"slices"
	"strings"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// NewSignalInterceptor returns the interceptor by which InboundEmail notices signals with
// names that it does not know; without it they have no trace. The SDK keeps such a signal
// in a channel of its own, which a workflow can empty only by making the name known to
// everyone who asks for the workflow's metadata. count is called once for each, also after
// a failed workflow task; nil counts none.
func NewSignalInterceptor(count func()) interceptor.WorkerInterceptor {
	if count == nil {
		count = func() {}
	}
	return &signalInterceptor{count: count}
}

type signalInterceptor struct {
	interceptor.WorkerInterceptorBase
	count func()
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (s *signalInterceptor) InterceptWorkflow(
	ctx workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	if workflow.GetInfo(ctx).WorkflowType.Name != contract.InboundEmailWorkflow {
		return next
	}
	return &signalInbound{
		WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next},
		inbox:                          &signalInbox{count: s.count},
	}
}

// signalInbound is the interceptor of one run.
type signalInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	inbox *signalInbox
}

// signalInbox has the names of unknown signals that the workflow has not looked at.
type signalInbox struct {
	names []string
	count func()
}

type signalInboxKey struct{}

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor.
func (s *signalInbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	return s.Next.ExecuteWorkflow(workflow.WithValue(ctx, signalInboxKey{}, s.inbox), in) //nolint:wrapcheck // the workflow's own error
}

// HandleSignal implements interceptor.WorkflowInboundInterceptor. It runs outside of the
// workflow's coroutines: it does nothing but keep the name.
func (s *signalInbound) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	if slices.Contains(contract.Signals, in.SignalName) {
		return s.Next.HandleSignal(ctx, in) //nolint:wrapcheck // as without the interceptor
	}
	s.inbox.names = append(s.inbox.names, contract.SignalName(in.SignalName))
	return nil
}

// unknownSignals keeps a trace of signals that the workflow does not know. A flood of them
// is bounded: of each of a few names the number is kept, and the ledger and the log get it
// when it is a power of ten. The ledger gets the last number at the email's end.
type unknownSignals struct {
	journal *journal
	inbox   *signalInbox

	list    []contract.UnknownSignal
	due     bool // the ledger is to get the list
	writing bool
}

// receive notes unknown signals for as long as the workflow lives.
func (u *unknownSignals) receive(ctx workflow.Context) {
	inbox, ok := ctx.Value(signalInboxKey{}).(*signalInbox)
	if !ok {
		return
	}

	u.inbox = inbox
	for workflow.Await(ctx, func() bool { return len(inbox.names) > 0 }) == nil {
		name := inbox.names[0]
		inbox.names = inbox.names[1:]
		u.countSignal(ctx, name)
	}
}

// countSignal counts a signal and shows it to people.
func (u *unknownSignals) countSignal(ctx workflow.Context, name string) {
	if !workflow.IsReplaying(ctx) {
		u.inbox.count()
	}

	s := u.entry(ctx, name)
	s.Count++
	s.LastUnixMilli = workflow.Now(ctx).UnixMilli()
	if powerOfTen(s.Count) {
		workflow.GetLogger(ctx).Warn("signal.unknown", "signal", name, "count", s.Count)
		u.due = true
	}

	u.journal.trouble = "The signal `" + name + "` changed nothing: there is no such signal. " + signalNames()
	u.journal.publishDetails(ctx)
}

// entry returns the entry of a name, a new one if need be, or that of all further names.
func (u *unknownSignals) entry(ctx workflow.Context, name string) *contract.UnknownSignal {
	named := func(s contract.UnknownSignal) bool { return s.Name == name }
	if i := slices.IndexFunc(u.list, named); i >= 0 {
		return &u.list[i]
	}
	if len(u.list) >= contract.MaxUnknownSignals {
		name = ""
	}
	if i := slices.IndexFunc(u.list, named); i >= 0 {
		return &u.list[i]
	}
	u.list = append(u.list, contract.UnknownSignal{Name: name, FirstUnixMilli: workflow.Now(ctx).UnixMilli()})
	return &u.list[len(u.list)-1]
}

// write writes the list to the ledger whenever it is due and the email has a row.
func (u *unknownSignals) write(ctx workflow.Context) {
	for workflow.Await(ctx, func() bool { return u.due && u.journal.ledger.hasRow() }) == nil {
		u.due, u.writing = false, true
		in := contract.SignalsInput{Email: u.journal.in.Email, Signals: slices.Clone(u.list)}
		record := attempts{name: "record signals", options: recordOptions, patient: true}
		if err := record.run(ctx, effectOf(activity.record.RecordSignals, in)); err != nil {
			workflow.GetLogger(ctx).Error("record the signals of an email", "error", err)
		}
		u.writing = false
	}
}

// settled reports whether the ledger has what it is to get, as far as it can.
func (u *unknownSignals) settled() bool {
	waiting := u.due || u.writing || u.inbox != nil && len(u.inbox.names) > 0
	return !waiting || !u.journal.ledger.hasRow()
}

// end has the last numbers written.
func (u *unknownSignals) end() {
	u.due = u.due || slices.ContainsFunc(u.list, func(s contract.UnknownSignal) bool { return !powerOfTen(s.Count) })
}

func powerOfTen(n int64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// signalNames is a sentence that lists the signals that there are.
func signalNames() string {
	return "The signals are `" + strings.Join(contract.Signals, "`, `") + "`."
}
