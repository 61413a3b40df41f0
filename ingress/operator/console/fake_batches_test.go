package console

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

type fakeBatches struct{ *fakes }

func (f fakeBatches) running() ledger.ReplayRow {
	return ledger.ReplayRow{ID: 7, Action: contract.Retry, From: ledger.FromHeld, State: contract.ReplayRunning, Actor: f.word("ada"), Note: f.word("the route is mended"),
		Rate: 50, Total: 431, Done: 190, Skipped: 3, Failed: 2, CreatedAt: at.Add(-time.Minute), Filter: f.replayed}
}

// dryRun is a dry run, number 8.
func (f fakeBatches) dryRun() ledger.ReplayRow {
	r := f.running()
	r.ID, r.DryRun, r.Total = 8, true, -1
	if f.counted {
		r.State = contract.ReplayDone
		r.Preview = &ledger.ReplayPreview{
			Total: 431, ByState: map[string]int64{"retrying": 7}, Would: map[ledger.ReplayCode]int64{ledger.ReplayCode(f.word("decided")): 431}, Evaluated: 20, Changed: 1,
			Begins: map[string]int64{ledger.FromRoute: 400}, HeldAgain: map[string]int64{string(contract.Unroutable): 3},
			Sample: []ledger.ReplaySample{{EventID: f.word("evt_1"), Source: "mailparse", Would: ledger.ItemStarted,
				Changes: []ledger.Change{{Field: "to", After: f.word("ticketing")}}}},
		}
	}
	if f.counted && f.empty {
		r.Preview = &ledger.ReplayPreview{}
	}
	if f.startedAs != 0 {
		r.StartedAs = &f.startedAs
	}
	return r
}

func (f fakeBatches) List(_ context.Context, _ access.Identity, _ access.Role, asked ledger.ReplayFilter) ([]ledger.ReplayRow, string, error) {
	switch {
	case f.empty:
		return nil, "", f.err
	case asked.DryRuns:
		return []ledger.ReplayRow{f.dryRun()}, "", f.err
	}
	return []ledger.ReplayRow{f.running()}, "", f.err
}

func (f fakeBatches) Outcomes(_ context.Context, row *ledger.ReplayRow) error {
	if !f.empty && !row.DryRun {
		row.Outcomes = &ledger.ReplayOutcomes{
			Emails: 190, ByState: map[contract.State]int64{contract.Delivered: 120, contract.Quarantined: 70},
			HeldFor: map[contract.Reason]int64{contract.Unroutable: 70},
		}
	}
	return f.err
}

// Find is about replays of every tenant.
func (f fakeBatches) Find(_ context.Context, who access.Identity, least access.Role, id int64) (*ledger.ReplayRow, error) {
	if who.In(access.Everywhere) < least {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	r := f.running()
	switch id {
	case 7:
	case 8:
		r = f.dryRun()
	default:
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	return &r, f.err
}

func (f fakeBatches) Items(context.Context, ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	if f.empty {
		return nil, "", nil
	}
	return []ledger.ReplayItem{
		{EventID: f.word("evt_1"), Source: "mailparse", State: ledger.ItemDone, Detail: f.word("delivered"), At: at,
			EmailState: contract.Delivered, Sent: 2},
		{EventID: "evt_2", Source: "mailparse", State: ledger.ItemFailed, Code: ledger.ItemNotHeld, At: at, EmailState: contract.Quarantined,
			EmailReason: contract.Unroutable},
	}, "", nil
}

func (f fakeBatches) Create(_ context.Context, _ access.Identity, via contract.Via, in batch.Request) (*ledger.ReplayRow, error) {
	f.planned, f.via = append(f.planned, in), via
	return &ledger.ReplayRow{ID: 8}, f.err
}

func (f fakeBatches) Start(_ context.Context, who access.Identity, via contract.Via, dryRun, count int64) (*ledger.ReplayRow, error) {
	f.started, f.via = append(f.started, fmt.Sprintf("%s %d %d", who.Name, dryRun, count)), via
	return &ledger.ReplayRow{ID: 7}, f.err
}

func (f fakeBatches) Control(_ context.Context, _ access.Identity, via contract.Via, row *ledger.ReplayRow, name string, _ *contract.ReplayRate) (*ledger.ReplayRow, error) {
	f.steered, f.via = append(f.steered, name), via
	return row, f.err
}

// fakeChain is a chain of two entries, or of one that breaks it.
type fakeChain struct{ *fakes }

func (f fakeChain) entries() []auditchain.Entry {
	var chain []auditchain.Entry
	var prev contract.Digest
	for i, note := range []string{"a first", "a test file"} {
		body, _ := json.Marshal(map[string]string{"action": "approve", "note": f.word(note)})
		e := auditchain.Entry{Seq: int64(i + 1), AtUnixMicro: at.UnixMicro(), Kind: "decision", Actor: f.word("ada"), Via: "console", EventID: f.word("evt_1"),
			Source: "mailparse", Tenant: "default", Body: string(body), PrevHash: prev}
		e.ContentHash = sha256.Sum256(e.Content())
		e.Hash = auditchain.Link(e.Seq, e.PrevHash, e.ContentHash)
		prev = e.Hash
		chain = append(chain, e)
	}
	if f.broken {
		chain[1].Actor = "eve"
	}
	return chain
}

func (f fakeChain) Audit(_ context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	list := f.entries()[min(after, 2):]
	return list[:min(limit, len(list))], f.err
}

func (f fakeChain) AuditHead(context.Context) (auditchain.Head, error) {
	if f.empty {
		return auditchain.Head{}, f.err
	}
	last := f.entries()[1]
	return auditchain.Head{Seq: 2, Hash: last.Hash}, f.err
}
