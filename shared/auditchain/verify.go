package auditchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"mailroom/shared/contract"
)

// ParseHead reads <seq>:<hash>.
func ParseHead(text string) (Head, error) {
	seq, sum, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	var h Head
	if !ok || err != nil || n < 0 || strconv.FormatInt(n, 10) != seq || h.Hash.UnmarshalText([]byte(sum)) != nil {
		return Head{}, errors.New("a head is written as <number>:<64 hex digits>")
	}
	h.Seq = n
	return h, nil
}

// Read reads a Document and checks all that can be checked of it alone: that the
// entries are what the chain has in their places, that the last of them is the
// export of this very record, and that every decision of the record is one of
// them. Heads are looked for in it as well, of those that lie in its part of the
// chain; known counts them.
func Read(text []byte, heads ...Head) (d *Document, known int, err error) {
	var file struct {
		Format string          `json:"format"`
		Record json.RawMessage `json:"record"`
		Proof  json.RawMessage `json:"proof"`
	}

	if _, err := canonical(text); err != nil {
		return nil, 0, fmt.Errorf("the file cannot be read: %w", err)
	}

	if err := strict(text, &file); err != nil {
		return nil, 0, err
	}

	if file.Format != Format {
		return nil, 0, fmt.Errorf("the file is no %s", Format)
	}

	d = &Document{Format: file.Format}
	if err := errors.Join(strict(file.Record, &d.Record), strict(file.Proof, &d.Proof)); err != nil {
		return nil, 0, err
	}

	hashes, err := d.Proof.walk()
	if err != nil {
		return nil, 0, err
	}

	sum, err := digestText(file.Record)
	if err != nil {
		return nil, 0, fmt.Errorf("the record cannot be read: %w", err)
	}

	if err := d.bound(sum); err != nil {
		return nil, 0, err
	}

	for _, h := range heads {
		i := h.Seq - d.Proof.From + 1
		if i < 0 || i >= int64(len(hashes)) {
			continue
		}
		if hashes[i] != h.Hash {
			return nil, 0, &Broken{Seq: h.Seq, Why: "its hash is not the one that was kept"}
		}
		known++
	}

	return d, known, nil
}

// strict decodes JSON and refuses members that are not known here, because they would not be checked.
func strict(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("the file is no %s: %w", Format, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is no %s: something follows its end", Format)
	}
	return nil
}

// walk goes from Prev along the links to the head, and returns the hashes on the way,
// Prev first.
func (p *Proof) walk() ([]contract.Digest, error) {
	if p.From < 1 || len(p.Links) == 0 {
		return nil, errors.New("the proof has no part of the chain")
	}

	whole := make(map[int64]*Entry, len(p.Entries))
	last := int64(0)

	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Seq <= last || e.Seq < p.From || e.Seq-p.From >= int64(len(p.Links)) {
			return nil, &Broken{Seq: e.Seq, Why: "it is not in the proof's part of the chain, or not in its place"}
		}
		whole[e.Seq], last = e, e.Seq
	}

	hashes := append(make([]contract.Digest, 0, len(p.Links)+1), p.Prev)

	for i, content := range p.Links {
		seq, prev := p.From+int64(i), hashes[i]
		hash := Link(seq, prev, content)
		if e := whole[seq]; e != nil {
			switch {
			case e.ContentHash != sha256.Sum256(e.Content()) || e.ContentHash != content:
				return nil, &Broken{Seq: seq, Why: "what it says does not have the hash that it was written with"}
			case e.PrevHash != prev || e.Hash != hash:
				return nil, &Broken{Seq: seq, Why: "it is not linked to the entry before it"}
			}
		}
		hashes = append(hashes, hash)
	}

	if end := (Head{Seq: p.From + int64(len(p.Links)) - 1, Hash: hashes[len(hashes)-1]}); end != p.Head {
		return nil, &Broken{Seq: end.Seq, Why: "the chain does not lead to the head that the file names"}
	}

	return hashes, nil
}

// bound checks that the entries bind the record.
func (d *Document) bound(record contract.Digest) error {
	entries := d.Proof.Entries
	if len(entries) == 0 {
		return errors.New("the proof has no entry")
	}

	bySeq := make(map[int64]*Entry, len(entries))

	for i := range entries {
		e := &entries[i]
		if e.EmailID != d.Record.EmailID || e.EventID != d.Record.EventID || e.Source != d.Record.Source || e.Tenant != d.Record.Tenant {
			return &Broken{Seq: e.Seq, Why: "it is about another email"}
		}
		bySeq[e.Seq] = e
	}

	last := &entries[len(entries)-1]
	var export exportBody
	if last.Kind != KindExport || last.Seq != d.Proof.Head.Seq || strict([]byte(last.Body), &export) != nil ||
		export.Format != Format || export.RecordSHA256 != record {
		return errors.New("the record is not the one that was exported: its hash is not that of the last entry")
	}

	for i := range d.Record.Decisions {
		one := &d.Record.Decisions[i]
		e := bySeq[one.Seq]
		delete(bySeq, one.Seq)
		if e == nil || !one.saidBy(e) {
			return fmt.Errorf("decision %d of the record is not what entry %d says", i+1, one.Seq)
		}
	}

	for seq, e := range bySeq {
		if e.Kind == KindDecision {
			return &Broken{Seq: seq, Why: "the record does not have this decision"}
		}
	}

	return nil
}

// KindDecision is the entry of a decision.
const KindDecision = "decision"

// saidBy reports whether an entry says of a decision what the record says.
func (d *Decision) saidBy(e *Entry) bool {
	var body struct {
		EmailID   int64  `json:"email_id"`
		Sequence  int64  `json:"sequence"`
		Action    string `json:"action"`
		Actor     string `json:"actor"`
		Via       string `json:"via"`
		Note      string `json:"note"`
		Reason    string `json:"reason"`
		Before    string `json:"state_before"`
		After     string `json:"state_after"`
		DecidedAt int64  `json:"decided_at_us"`
	}

	if e.Kind != KindDecision || json.Unmarshal([]byte(e.Body), &body) != nil {
		return false
	}

	said := Decision{
		At: time.UnixMicro(body.DecidedAt).UTC(), Action: body.Action, Actor: body.Actor, Via: body.Via, Note: body.Note,
		Reason: body.Reason, Before: body.Before, After: body.After, Sequence: body.Sequence, Seq: e.Seq,
	}

	return body.EmailID == e.EmailID && e.Actor == body.Actor && e.Via == body.Via && d.At.Equal(said.At) && said == d.in(said.At)
}

// in is d with the time as at writes it.
func (d Decision) in(at time.Time) Decision {
	d.At = at
	return d
}

// RawMatches reports whether raw are the bytes that the record speaks of: the
// webhook's body, or the raw mail inside it.
func (r *Record) RawMatches(raw []byte) bool {
	sum := sha256.Sum256(raw)
	text := hex.EncodeToString(sum[:])
	return text == r.Raw.SHA256 && int64(len(raw)) == r.Raw.Size || r.MIME != nil && text == r.MIME.SHA256
}
