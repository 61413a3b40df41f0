package guard

import (
	"math"
	"time"
)

// Pool identifies one of the resources that requests and connections share.
type Pool int

// The pools. Spool is counted in bytes, the others in pieces.
const (
	Places      Pool = iota // requests under way
	Buffers                 // shared buffers for bodies
	Files                   // spool files
	Spool                   // bytes in spool files
	Connections             // open connections
	poolCount
)

// String returns the pool's label in metrics.
func (p Pool) String() string {
	return [poolCount]string{"requests", "buffers", "spool_files", "spool_bytes", "connections"}[p]
}

// Share is how a pool is divided. All numbers are in the pool's unit.
type Share struct {
	Size int64 // the whole pool
	// Strangers is the most that all strangers together may hold. The rest of Size is
	// reserved for known addresses.
	Strangers int64
	Stranger  int64 // the most that one stranger may hold
	// Known is the most that one known address may hold. 0 stands for four times what
	// it leaves free, which is four fifths of an otherwise idle pool.
	Known int64
}

// Half returns the share of a pool of the given size: half is reserved for known
// addresses, and one stranger holds at most stranger.
func Half(size, stranger int64) Share {
	return Share{Size: size, Strangers: size / 2, Stranger: stranger}
}

const (
	knownFactor = 4
	// A stranger's visit that has been under way for slowAfter and received less than
	// slowRate bytes a second can be displaced by another stranger.
	slowAfter = 5 * time.Second
	slowRate  = 64 << 10
	// Displaced visits that have not left yet hold at most 1/leavingPart of the pool's
	// size, in addition to it.
	leavingPart = 8
	// displaceSample is how many addresses, and how many visits, are examined in the
	// search for a visit to displace.
	displaceSample = 32
)

// pool counts what each address holds of one resource. The Crowd's mutex protects it.
type pool struct {
	share     Share
	used      int64 // by all
	strangers int64 // by strangers
	leaving   int64 // by displaced visits that have not left; not part of used
	displaced uint64
	holders   map[addressKey]*holder // only addresses that hold something
}

// holder is what one address holds of a pool.
type holder struct {
	held  int64
	known bool
	many  bool   // more than one sender may stand behind the address
	first *Visit // list of its visits that hold something
}

// membership is what one visit holds of a pool, and its place in the holder's list.
type membership struct {
	held       int64
	next, prev *Visit
	leaving    bool // displaced: another visit has the place already
}

// acquire adds n to what v holds if the pool's share permits it, and reports whether it
// did. c is the pool's own index in Visit.in.
func (p *pool) acquire(c Pool, v *Visit, n int64, now time.Time) bool {
	m := &v.in[c]
	if m.leaving {
		return false
	}
	h := p.holders[v.key]
	var own int64
	if h != nil {
		own = h.held
	}

	free := p.share.Size - p.used
	switch {
	case v.known:
		if n > free || (!v.many && own > m.held && own+n > p.knownMost(free-n)) {
			return false
		}
	case !v.many && own+n > p.share.Stranger:
		return false
	case n > free || p.strangers+n > p.share.Strangers:
		if !p.displace(c, own, n, now) {
			return false
		}
	}

	if h == nil {
		h = &holder{known: v.known, many: v.many}
		p.holders[v.key] = h
	}
	p.add(c, h, v, n)
	return true
}

// knownMost returns how much one known address may hold if left stays free.
func (p *pool) knownMost(left int64) int64 {
	if p.share.Known > 0 {
		return p.share.Known
	}
	return knownFactor * min(left, math.MaxInt64/knownFactor)
}

// add adds n to the sums, and v to h's list if it held nothing.
func (p *pool) add(c Pool, h *holder, v *Visit, n int64) {
	m := &v.in[c]
	if m.held == 0 {
		m.next = h.first
		if h.first != nil {
			h.first.in[c].prev = v
		}
		h.first = v
	}
	m.held += n
	h.held += n
	p.used += n
	if !h.known {
		p.strangers += n
	}
}

// release subtracts n from what v holds, or all of it if that is less.
func (p *pool) release(c Pool, v *Visit, n int64) {
	m := &v.in[c]
	if n = min(n, m.held); n == 0 {
		return
	}
	if m.leaving {
		m.held -= n
		p.leaving -= n
		return
	}
	p.subtract(c, v, n)
	m.held -= n
}

// subtract removes n of what v holds from the sums, and v from its list if nothing is
// left. It leaves v's own count to the caller.
func (p *pool) subtract(c Pool, v *Visit, n int64) {
	m, h := &v.in[c], p.holders[v.key]
	h.held -= n
	p.used -= n
	if !h.known {
		p.strangers -= n
	}
	if m.held > n {
		return
	}

	if m.prev != nil {
		m.prev.in[c].next = m.next
	} else {
		h.first = m.next
	}
	if m.next != nil {
		m.next.in[c].prev = m.prev
	}
	m.next, m.prev = nil, nil

	if h.first == nil {
		delete(p.holders, v.key)
	}
}

// markKnown counts what key holds as a known address's.
func (p *pool) markKnown(key addressKey) {
	if h := p.holders[key]; h != nil && !h.known {
		h.known = true
		p.strangers -= h.held
	}
}

// displace makes room for n by ending one stranger's visit, and reports whether it did:
// the slowest visit of the address that holds the most, if that address then still holds
// no less than the newcomer, else a slow visit of any address. own is what the newcomer's
// address holds.
func (p *pool) displace(c Pool, own, n int64, now time.Time) bool {
	if c == Spool || p.leaving+n > p.share.Size/leavingPart {
		return false
	}
	most, victim := p.sample(c, now)
	if most != nil && most.held-n >= own+n {
		victim = most.slowest(c, now)
	}
	if victim == nil {
		return false
	}

	m := &victim.in[c]
	p.subtract(c, victim, m.held)
	p.leaving += m.held
	p.displaced++
	m.leaving = true
	victim.displace()
	return true
}

// sample examines some strangers. It returns the one that holds the most, leaving out
// addresses that many senders may share, and a slow visit; each is nil if there is none.
func (p *pool) sample(c Pool, now time.Time) (most *holder, slow *Visit) {
	seen, visits := 0, 0
	for _, h := range p.holders {
		if h.known {
			continue
		}
		if !h.many && (most == nil || h.held > most.held) {
			most = h
		}
		for v := h.first; v != nil && slow == nil && visits < displaceSample; v = v.in[c].next {
			visits++
			if v.slow(now) {
				slow = v
			}
		}
		if seen++; seen == displaceSample {
			break
		}
	}
	return most, slow
}

// slowest returns the visit with the fewest bytes a second; of equally slow ones, the
// oldest.
func (h *holder) slowest(c Pool, now time.Time) *Visit {
	var found *Visit
	var least int64
	for v := h.first; v != nil; v = v.in[c].next {
		rate := v.rate(now)
		if found == nil || rate < least || (rate == least && v.began.Before(found.began)) {
			found, least = v, rate
		}
	}
	return found
}
