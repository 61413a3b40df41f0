package activities

import (
	"sync"
	"time"
)

// catchUp is how much lost time a pacer makes up for. What is lost beyond is lost:
// a destination that was slow for an hour must not get an hour's mail at once.
const catchUp = 2 * time.Second

// pacer tells each email the time at which it is due: an absolute schedule, so that
// waits that end late do not add up. Without a rate everything is due at once.
type pacer struct {
	mu   sync.Mutex
	rate float64
	next time.Time
}

// newPacer continues the schedule that had its next email due at dueUnixMicro.
func newPacer(rate float64, dueUnixMicro int64, now time.Time) *pacer {
	p := &pacer{rate: rate, next: now}
	if dueUnixMicro > 0 {
		p.next = time.UnixMicro(dueUnixMicro)
		if latest := now.Add(p.gap()); p.next.After(latest) {
			p.next = latest
		}
	}
	return p
}

func (p *pacer) gap() time.Duration {
	if p.rate <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / p.rate)
}

// due returns the time of the next email and moves the schedule on.
func (p *pacer) due(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate <= 0 {
		p.next = now
		return now
	}
	if earliest := now.Add(-catchUp); p.next.Before(earliest) {
		p.next = earliest
	}
	due := p.next
	p.next = due.Add(p.gap())
	return due
}

// set changes the rate from the next email on, which is due by the new one.
func (p *pacer) set(rate float64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rate == p.rate {
		return
	}
	p.rate = rate
	if p.next = now; rate > 0 {
		p.next = now.Add(p.gap())
	}
}

// nextDue is what newPacer continues from.
func (p *pacer) nextDue() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next.UnixMicro()
}

// batch is how many emails are claimed at once: half a second's worth, or what
// keeps atOnce emails busy where there is no rate.
func (p *pacer) batch(atOnce int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate <= 0 {
		return 4 * atOnce
	}
	return max(1, min(4*atOnce, int(p.rate/2)))
}
