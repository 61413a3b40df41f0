package e2e_test

import (
	"math/rand/v2"
	"time"

	"mailroom/deploy/dev/stack"
)

// Bounds of a random schedule.
const (
	randomLasts   = 20 * time.Second // at least
	randomOutages = 9
	randomLetters = 90 // among the first so many are those of a size that only the object store takes
	hugeText      = 1536 << 10
)

// ending is one end of a program, after a pause; it is started again after down.
type ending struct {
	pause, down time.Duration
	killed      bool // else asked to end
}

// spell is a time in which some services are out of order.
type spell struct {
	pause, lasts time.Duration
	modes        map[string]mode // by service
}

// sending is one request of a letter. It is repeated until it is answered 2xx.
type sending struct {
	after  time.Duration
	body   int
	forged bool
}

// letter is an event id and what is sent under it.
type letter struct {
	sizes    []int // of the texts of its bodies, which differ
	sendings []sending
}

// schedule is everything that happens in a run; it depends on its seed alone.
type schedule struct {
	seed    uint64
	endings map[string][]ending // by program
	spells  []spell
	huge    map[int]bool // letters
}

func newSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 0))
	s := schedule{seed: seed, endings: map[string][]ending{}, huge: map[int]bool{}}
	for program, kills := range map[string]int{stack.Ingress: 4, stack.Worker: 3} {
		own := rand.New(rand.NewPCG(seed, uint64(kills)<<32))
		list := make([]ending, kills+1)
		for i := range list {
			list[i] = ending{pause: between(own, 500, 2500), down: between(own, 0, 800), killed: i > 0}
		}
		own.Shuffle(len(list), func(i, j int) { list[i].killed, list[j].killed = list[j].killed, list[i].killed })
		s.endings[program] = list
	}
	ways := []mode{refuse, hang, slow, drop}
	services := []string{"postgres", "temporal", "minio"}
	for i := range randomOutages {
		one := spell{pause: between(r, 200, 900), lasts: between(r, 300, 2500), modes: map[string]mode{}}
		one.modes[services[i%len(services)]] = ways[r.IntN(len(ways))]
		if r.IntN(3) == 0 {
			one.modes[services[(i+1+r.IntN(2))%len(services)]] = ways[r.IntN(len(ways))]
		}
		s.spells = append(s.spells, one)
	}
	r.Shuffle(len(s.spells), func(i, j int) { s.spells[i], s.spells[j] = s.spells[j], s.spells[i] })
	for range 2 {
		s.huge[r.IntN(randomLetters)] = true
	}
	return s
}

// letter returns the nth letter, and the pause before the next.
func (s schedule) letter(n int) (letter, *rand.Rand) {
	r := rand.New(rand.NewPCG(s.seed, uint64(n)+1))
	size := 4 << 10
	switch {
	case s.huge[n]:
		size = hugeText
	case r.IntN(8) == 0:
		size = 100 << 10
	}
	l := letter{sizes: []int{size}, sendings: []sending{{}}}
	switch r.IntN(8) {
	case 0:
		l.sendings[0].forged = !s.huge[n]
	case 1, 2: // copies, at once or later
		for range 1 + r.IntN(3) {
			l.sendings = append(l.sendings, sending{after: between(r, 0, 3000) * time.Duration(r.IntN(2))})
		}
	case 3: // another body, and sometimes copies of both
		l.sizes = append(l.sizes, 4<<10)
		for i := range 1 + r.IntN(3) {
			l.sendings = append(l.sendings, sending{body: (i + 1) % 2, after: between(r, 0, 2000) * time.Duration(r.IntN(2))})
		}
	}
	return l, r
}

// between returns a time of so many milliseconds, both bounds included.
func between(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least+1)) * time.Millisecond
}
