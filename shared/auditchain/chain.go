package auditchain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"mailroom/shared/contract"
)

// ChainFormat names the way in which an entry is hashed. It is the first line of
// what each hash is made of, so that no other text can pass for an entry.
const ChainFormat = "mailroom.audit.v1"

// Entry is one link of the audit chain: what it says, and the hashes that put it
// in its place.
type Entry struct {
	Seq int64 `json:"seq"` // from 1, without gaps
	// AtUnixMicro is when the entry was appended, in microseconds since 1970.
	AtUnixMicro int64  `json:"at_us"`
	Kind        string `json:"kind"`
	EmailID     int64  `json:"email_id"` // the ledger row; 0: about no email
	EventID     string `json:"event_id"`
	Source      string `json:"source"`
	Tenant      string `json:"tenant"`
	Actor       string `json:"actor"`
	Via         string `json:"via"`
	// Body is a JSON object as text: it is hashed as it is.
	Body        string          `json:"body"`
	ContentHash contract.Digest `json:"content_hash"`
	PrevHash    contract.Digest `json:"prev_hash"`
	Hash        contract.Digest `json:"hash"`
}

// At is when the entry was appended.
func (e *Entry) At() time.Time { return time.UnixMicro(e.AtUnixMicro).UTC() }

// Content is what ContentHash is the SHA-256 of: each field as its name, its
// length in bytes and its value, with colons between and a line feed behind. The
// length leaves no doubt where a value ends, whatever it contains.
func (e *Entry) Content() []byte {
	var out []byte
	for _, f := range [...]struct{ name, value string }{
		{"at", strconv.FormatInt(e.AtUnixMicro, 10)},
		{"kind", e.Kind},
		{"email_id", strconv.FormatInt(e.EmailID, 10)},
		{"event_id", e.EventID},
		{"source", e.Source},
		{"tenant", e.Tenant},
		{"actor", e.Actor},
		{"via", e.Via},
		{"body", e.Body},
	} {
		out = append(out, f.name...)
		out = append(out, ':')
		out = strconv.AppendInt(out, int64(len(f.value)), 10)
		out = append(out, ':')
		out = append(out, f.value...)
		out = append(out, '\n')
	}

	return out
}

// Link is the hash of the entry number seq that follows prev: the SHA-256 of the
// format's name, the number and the two hashes in lower-case hex, each with a line
// feed behind. An entry's text is not needed for it, only its hash: a person who shows one
// entry need not show the others.
func Link(seq int64, prev, content contract.Digest) contract.Digest {
	text := make([]byte, 0, 192)
	text = append(append(text, ChainFormat...), '\n')
	text = append(strconv.AppendInt(text, seq, 10), '\n')
	text = append(hex.AppendEncode(text, prev[:]), '\n')
	text = append(hex.AppendEncode(text, content[:]), '\n')
	return sha256.Sum256(text)
}

// Broken says at which entry a chain does not hold, and why.
type Broken struct {
	Seq int64
	Why string
}

func (b *Broken) Error() string {
	return "the chain is broken at entry " + strconv.FormatInt(b.Seq, 10) + ": " + b.Why
}

// Head is an entry's number and hash: kept elsewhere, it shows later that the
// chain has neither been rewritten nor cut before it.
type Head struct {
	Seq  int64           `json:"seq"`
	Hash contract.Digest `json:"hash"`
}

// String returns the form that ParseHead reads, <seq>:<hash>.
func (h Head) String() string {
	return strconv.FormatInt(h.Seq, 10) + ":" + hex.EncodeToString(h.Hash[:])
}

// Chain checks entries one after another. The zero Chain stands before entry 1.
type Chain struct{ head Head }

// Head is the last entry that held.
func (c *Chain) Head() Head { return c.head }

// Add checks the next entry. After an error, which is a *Broken, the Chain is
// where it was.
func (c *Chain) Add(e *Entry) error {
	switch {
	case e.Seq != c.head.Seq+1:
		return &Broken{Seq: c.head.Seq + 1, Why: fmt.Sprintf("it is missing, what follows is entry %d", e.Seq)}
	case e.PrevHash != c.head.Hash:
		return &Broken{Seq: e.Seq, Why: "it does not name the hash of the entry before it"}
	case e.ContentHash != sha256.Sum256(e.Content()):
		return &Broken{Seq: e.Seq, Why: "what it says does not have the hash that it was written with"}
	case e.Hash != Link(e.Seq, e.PrevHash, e.ContentHash):
		return &Broken{Seq: e.Seq, Why: "its hash is not that of its number, the entry before it and what it says"}
	}
	c.head = Head{Seq: e.Seq, Hash: e.Hash}
	return nil
}
