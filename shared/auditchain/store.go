package auditchain

import (
	"context"
	"slices"
)

// verifyPage is how many entries Verify reads at once.
const verifyPage = 1000

// Store reads a chain that is kept elsewhere.
type Store interface {
	// Audit returns at most limit entries that follow the entry after, in their order.
	Audit(ctx context.Context, after int64, limit int) ([]Entry, error)
	AuditHead(ctx context.Context) (Head, error)
}

// Verify checks a stored chain up to the head that it has at the beginning. It returns
// how many entries it has checked and the number of the first one that does not fit, 0
// where all do.
func Verify(ctx context.Context, store Store) (checked, broken int64, err error) {
	head, err := store.AuditHead(ctx)
	if err != nil {
		return 0, 0, err
	}

	var chain Chain
	for chain.Head().Seq < head.Seq {
		at := chain.Head().Seq
		list, err := store.Audit(ctx, at, int(min(verifyPage, head.Seq-at)))
		if err != nil {
			return 0, 0, err
		}
		if len(list) == 0 { // the end is missing
			return at, at + 1, nil
		}

		for i := range list {
			if chain.Add(&list[i]) != nil {
				return chain.Head().Seq, chain.Head().Seq + 1, nil
			}
		}
	}

	if chain.Head() != head {
		return head.Seq, head.Seq, nil
	}
	return head.Seq, 0, nil
}

// Before returns at most limit entries with numbers below before, newest first; 0 means
// from the end of the chain.
func Before(ctx context.Context, store Store, before int64, limit int) ([]Entry, error) {
	head, err := store.AuditHead(ctx)
	if err != nil {
		return nil, err
	}
	last := head.Seq
	if before > 0 {
		last = min(last, before-1)
	}
	if last <= 0 {
		return nil, nil
	}

	// Entries are numbered without gaps, unless one was removed.
	after := max(0, last-int64(limit))
	list, err := store.Audit(ctx, after, int(last-after))
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e Entry) bool { return e.Seq > last })
	slices.Reverse(list)
	return list, nil
}
