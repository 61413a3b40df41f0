package guard

import (
	"math"
	"time"
)

// Pool names one of the things that requests share.
type Pool int

// The pools. All but Spool are counted in pieces, Spool in bytes.
const (
	Places      Pool = iota // requests under way
	Buffers                 // shared buffers for bodies
	Files                   // spool files
	Spool                   // bytes in spool files
	Connections             // open connections
	poolCount
)

// String returns the pool's name as metrics show it.
func (p Pool) String() string {
	return [poolCount]string{"requests", "buffers", "spool_files", "spool_bytes", "connections"}[p]
}

// Share is how a pool is shared out.
type Share struct {
	Size int64 // of the pool
	// Strangers is what all strangers together may hold; what is left of Size is
	// reserved for known addresses.
	Strangers int64
	Stranger  int64 // what one stranger may hold
	// Known is what one known address may hold; 0: four times what it leaves free,
	// which is four fifths of an idle pool.
	Known int64
}

// Half returns the share of a pool of size, half of which is reserved for known
// addresses, with at most stranger for one stranger.
func Half(size, stranger int64) Share {
	return Share{Size: size, Strangers: size / 2, Stranger: stranger}
}

const (
	knownFactor = 4
	// A stranger's request that has been under way for slowAfter and moved less than
	// slowRate bytes a second gives way to another stranger while there is no place.
	slowAfter = 5 * time.Second
	slowRate  = 64 << 10
	// What displaced requests still hold is at most this part of a pool more than
	// its size.
	leavingPart = 8
	// How many addresses and visits are looked at for one that gives way.
	displaceSample = 32
)

// pool counts what each address holds. The Crowd's mutex protects it.
type pool struct {
	share     Share
	used      int64 // by all
	strangers int64 // by strangers
	leaving   int64 // by displaced visits, beside used
	displaced uint64
	holders   map[addressKey]*holder // there is no entry of an address that holds nothing
}

// holder is what one address holds of a pool.
type holder struct {
	held  int64
	known bool
	many  bool   // more than one sender may stand behind the address
	first *Visit // list of the visits that hold something
}

// membership is what one visit holds of a pool, and its place in the holder's list.
type membership struct {
	held       int64
	next, prev *Visit
	leaving    bool // its place belongs to another visit already
}

// take adds n to what v holds if the pool's shares allow it.
func (p *pool) take(c Pool, v *Visit, n int64, now time.Time) bool {
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

// knownMost returns how much a known address may hold if it leaves left free.
func (p *pool) knownMost(left int64) int64 {
	if p.share.Known > 0 {
		return p.share.Known
	}
	return knownFactor * min(left, math.MaxInt64/knownFactor)
}

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

// give subtracts n from what v holds, or all of it if that is less.
func (p *pool) give(c Pool, v *Visit, n int64) {
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

// subtract removes n of what v holds from the sums, and v from its list when
// nothing is left.
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

// prove counts what key holds as a known address's from now on.
func (p *pool) prove(key addressKey) {
	if h := p.holders[key]; h != nil && !h.known {
		h.known = true
		p.strangers -= h.held
	}
}

// displace makes room for n by ending one stranger's visit: of the address that
// holds the most, if it still holds no less than the newcomer then, else one that
// is slow. own is what the newcomer's address holds.
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

// sample looks at some strangers. It returns the one that holds the most, but for
// addresses behind which there may be many, and a visit that is slow; nil for none.
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

// slowest returns the visit with the least bytes a second, and of those that moved
// nothing the oldest.
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
