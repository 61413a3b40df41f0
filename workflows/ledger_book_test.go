package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// ledgerBook is what the real ledger would have of what a script's workflows recorded,
// and answers as the activities do that read it.
type ledgerBook struct {
	*script
	ingress []contract.Finding
	content string // of what is stored now; empty before that
	found   map[contract.Step][]contract.Hold
	applied func() // what an edit does to the content
}

func newLedgerBook() *ledgerBook {
	b := &ledgerBook{script: newScript(), found: map[contract.Step][]contract.Hold{}}
	b.plan = func(contract.HoldInput) contract.HoldPlan { return plan(2) }
	b.store = func(int) (contract.StoreResult, error) {
		if b.content == "" {
			b.content = "as it came"
		}
		return contract.StoreResult{Holds: slices.Clone(b.found[contract.StepStore])}, nil
	}
	b.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{
			Holds: slices.Clone(b.found[contract.StepInspect]), Inspected: contract.Inspected{AtUnixMilli: 1, Content: b.content},
		}, nil
	}
	b.route = func(_ int, in contract.RouteInput) (contract.RouteResult, error) {
		out := contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}, Holds: slices.Clone(b.found[contract.StepRoute])}
		if in.AnyRecipient {
			out.Holds = slices.DeleteFunc(out.Holds, func(h contract.Hold) bool { return h.Reason == contract.RecipientForeign })
		}
		return out, nil
	}
	b.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		open := slices.ContainsFunc(b.findings(), func(f contract.Finding) bool { return !f.Closed() })
		if open || in.Inspected != b.content {
			return contract.DeliverResult{}, failure(fault.NotReleased, 0)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	b.standing = b.stands
	b.apply = func(int) error {
		if b.applied != nil {
			b.applied()
		}
		return nil
	}
	return b
}

func (b *ledgerBook) findings() []contract.Finding {
	b.calls.Lock()
	defer b.calls.Unlock()
	out := slices.Clone(b.ingress)
	for _, r := range b.calls.records {
		for _, f := range r.Findings {
			i := slices.IndexFunc(out, func(o contract.Finding) bool { return o.Step == f.Step && o.Reason == f.Reason })
			if i < 0 {
				out = append(out, f)
				continue
			}
			f.Ingress = f.Ingress || out[i].Ingress
			out[i] = f
		}
	}
	return out
}

func (b *ledgerBook) stands() (contract.StandingResult, error) {
	var seen contract.Inspected
	b.calls.Lock()
	for _, r := range b.calls.records {
		if r.Inspected.AtUnixMilli != 0 {
			seen = r.Inspected
		}
	}
	b.calls.Unlock()
	out := contract.StandingResult{From: contract.StepRoute, Findings: b.findings(), Content: b.content}
	open := func(at contract.Step) bool {
		return slices.ContainsFunc(out.Findings, func(f contract.Finding) bool { return f.Step == at && !f.Closed() })
	}
	switch {
	case b.content == "" || open(contract.StepStore):
		out.From = contract.StepStore
	case seen.Content != b.content || open(contract.StepInspect):
		out.From = contract.StepInspect
	default:
		out.Inspected = seen
	}
	return out, nil
}

// forget drops the last records, as if the workflow had been terminated before them.
func (b *ledgerBook) forget(keep func(contract.RecordInput) bool) {
	b.calls.Lock()
	defer b.calls.Unlock()
	b.calls.records = slices.DeleteFunc(b.calls.records, func(r contract.RecordInput) bool { return !keep(r) })
}

// kindOfHold is a hold that people have to let pass, and how an email comes to it.
type kindOfHold struct {
	at      contract.Step
	reason  contract.Reason
	ingress bool
}

func kindsOfHold() []kindOfHold {
	return []kindOfHold{
		{contract.StepStore, contract.IDConflict, true},
		{contract.StepStore, contract.RecipientForeign, true},
		{contract.StepStore, contract.LoopDetected, true},
		{contract.StepStore, contract.SchemaInvalid, false},
		{contract.StepStore, contract.MIMEMalformed, false},
		{contract.StepStore, contract.AttachmentUnfetchable, false},
		{contract.StepInspect, contract.TooLarge, false},
		{contract.StepInspect, contract.TypeDenied, false},
		{contract.StepInspect, contract.AttachmentMismatch, false},
		{contract.StepInspect, contract.Infected, false},
		{contract.StepInspect, contract.Unscannable, false},
		{contract.StepRoute, contract.RecipientForeign, false},
		{contract.StepRoute, contract.ManualHold, false},
	}
}

// held prepares an email that is held so.
func (k kindOfHold) held() (*ledgerBook, contract.InboundEmailInput) {
	b, in := newLedgerBook(), input()
	if k.ingress {
		in.Hold = &contract.Hold{Reason: k.reason, Detail: "found by the ingress"}
		b.ingress = []contract.Finding{{Step: k.at, Reason: k.reason, Detail: in.Hold.Detail, Ingress: true, State: contract.FindingOpen}}
		return b, in
	}
	b.found[k.at] = holding(k.reason)
	return b, in
}

// wayToRunAgain is a way in which a held email is run again. It returns the input of the new run.
type wayToRunAgain struct {
	name string
	// first is what happens to the first run.
	first func(t *testing.T, b *ledgerBook, in contract.InboundEmailInput)
	again func(in contract.InboundEmailInput) contract.InboundEmailInput
}

func waysToRunAgain() []wayToRunAgain {
	discarded := func(t *testing.T, b *ledgerBook, in contract.InboundEmailInput) {
		t.Helper()
		c := newChain(t, b.script)
		c.update(time.Hour, b.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"})) // one of two
		c.update(2*time.Hour, b.intend(2, contract.IntentResult{Action: contract.Discard, Actor: "olga"}))
		require.Equal(t, contract.Discarded, c.run(in).State)
	}
	terminated := func(t *testing.T, b *ledgerBook, in contract.InboundEmailInput) {
		t.Helper()
		discarded(t, b, in)
		b.forget(func(r contract.RecordInput) bool { return r.State != contract.Discarded })
	}
	replay := func(from contract.Step) func(contract.InboundEmailInput) contract.InboundEmailInput {
		return func(in contract.InboundEmailInput) contract.InboundEmailInput {
			in.Hold, in.Replay = nil, &contract.Replayed{ID: 3, From: from, NewEffect: true}
			return in
		}
	}
	reset := func(in contract.InboundEmailInput) contract.InboundEmailInput { return in }
	return []wayToRunAgain{
		{"discarded, replayed from the raw mail", discarded, replay(contract.StepStore)},
		{"discarded, replayed from its inspection", discarded, replay(contract.StepInspect)},
		{"discarded, replayed from routing", discarded, replay(contract.StepRoute)},
		{"discarded, replayed from delivery", discarded, replay(contract.StepDeliver)},
		{"terminated, replayed from the raw mail", terminated, replay("")},
		{"terminated, replayed from routing", terminated, replay(contract.StepRoute)},
		{"discarded, reset to its begin", discarded, reset},
		{"terminated, reset to its begin", terminated, reset},
	}
}
