package ingress

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"mailroom/ingress/operator/console"
	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

const (
	shownEntries = 50
	// verifyPage is how many entries are read at once to verify the chain.
	verifyPage = 1000
)

// auditReader is the part of the ledger that audit needs.
type auditReader interface {
	Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error)
	AuditHead(ctx context.Context) (auditchain.Head, error)
}

// auditChain is the audit chain as the console shows it.
type auditChain struct{ db auditReader }

// Entries gives those before a number, 0 meaning the end, newest first.
func (a auditChain) Entries(ctx context.Context, before int64) ([]console.ChainEntry, error) {
	head, err := a.db.AuditHead(ctx)
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
	// Entries are numbered without gaps, unless somebody removed one.
	after := max(0, last-shownEntries)
	list, err := a.db.Audit(ctx, after, int(last-after))
	if err != nil {
		return nil, err
	}
	out := make([]console.ChainEntry, 0, len(list))
	for i := range list {
		if e := &list[i]; e.Seq <= last {
			out = append(out, console.ChainEntry{
				Number: e.Seq, Email: e.EmailID, At: e.At(), Kind: e.Kind, Actor: e.Actor, Via: e.Via, EventID: e.EventID, Source: e.Source, Tenant: e.Tenant,
				Hash: hex.EncodeToString(e.Hash[:]), Text: entryText(e),
			})
		}
	}
	slices.Reverse(out)
	return out, nil
}

// entryText says in a line what an entry is about: what was done, to what, and why.
func entryText(e *auditchain.Entry) string {
	var body struct {
		Action      contract.Action `json:"action"`
		Control     string          `json:"control"`
		Destination string          `json:"destination"`
		Paused      *bool           `json:"paused"`
		Replay      int64           `json:"replay"`
		Name        string          `json:"name"`
		Note        string          `json:"note"`
	}
	if json.Unmarshal([]byte(e.Body), &body) != nil {
		return ""
	}
	var words []string
	add := func(s string) {
		if s != "" {
			words = append(words, s)
		}
	}
	add(string(body.Action))
	add(body.Control)
	if body.Paused != nil {
		add(map[bool]string{true: "pause", false: "resume"}[*body.Paused])
	}
	if e.Kind == string(ledger.AuditReplay) && body.Replay != 0 {
		add("number " + strconv.FormatInt(body.Replay, 10))
	}
	add(body.Name)
	add(body.Destination)
	text := strings.Join(words, " ")
	if body.Note != "" {
		text = strings.TrimPrefix(text+": "+body.Note, ": ")
	}
	return text
}

// Verify reads the chain up to the head that it has at the beginning.
func (a auditChain) Verify(ctx context.Context) (checked, broken int64, err error) {
	head, err := a.db.AuditHead(ctx)
	if err != nil {
		return 0, 0, err
	}
	var chain auditchain.Chain
	for chain.Head().Seq < head.Seq {
		at := chain.Head().Seq
		list, err := a.db.Audit(ctx, at, int(min(verifyPage, head.Seq-at)))
		if err != nil {
			return 0, 0, err
		}
		if len(list) == 0 {
			return at, at + 1, nil // the end is missing
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
