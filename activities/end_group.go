package activities

import (
	"context"
	"sync"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// mostEnds bounds what one transaction writes: no other decision is added to the chain
// meanwhile.
const mostEnds = 50

// endGroup writes the ends of emails that come side by side together: those that come
// while it writes are the next to be written.
type endGroup struct {
	write func(ctx context.Context, list []contract.RecordInput) error

	mu      sync.Mutex
	waiting []*waitingEnd
	writing bool
}

type waitingEnd struct {
	contract.RecordInput
	written chan error
}

// record returns once the end of an email is in the ledger, also when ctx is over
// before that.
func (g *endGroup) record(ctx context.Context, in contract.RecordInput) error {
	w := &waitingEnd{RecordInput: in, written: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	first := !g.writing
	g.writing = true
	g.mu.Unlock()
	if first {
		go g.run(context.WithoutCancel(ctx))
	}
	return <-w.written
}

// next takes those that are written next; none ends the writing.
func (g *endGroup) next() []*waitingEnd {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), mostEnds)
	list := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	g.writing = n > 0
	return list
}

func (g *endGroup) run(ctx context.Context) {
	for list := g.next(); len(list) > 0; list = g.next() {
		err := g.save(ctx, list)
		if err == nil || fault.Is(err, fault.StorageUnavailable) || len(list) == 1 {
			for _, w := range list {
				w.written <- err
			}
			continue
		}
		for i, w := range list { // one that cannot be written does not concern the others
			w.written <- g.save(ctx, list[i:i+1])
		}
	}
}

func (g *endGroup) save(ctx context.Context, list []*waitingEnd) error {
	ctx, cancel := context.WithTimeout(ctx, saveWithin)
	defer cancel()

	in := make([]contract.RecordInput, len(list))
	for i, w := range list {
		in[i] = w.RecordInput
	}
	return g.write(ctx, in)
}
