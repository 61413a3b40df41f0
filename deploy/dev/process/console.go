package process

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// quiet is how long the console may stay silent while it waits for something.
const quiet = 5 * time.Second

// Console writes what happens, one line at a time. The zero value writes nothing.
type Console struct {
	w       io.Writer
	mu      sync.Mutex
	last    time.Time
	waiting []string
}

// NewConsole writes to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w, last: time.Now()} }

// Say writes one line.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		return
	}
	c.last = time.Now()
	_, _ = fmt.Fprintf(c.w, format+"\n", args...)
}

// Await adds what to the list of what the console waits for, until done is called.
func (c *Console) Await(what string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, what)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.waiting, what); i >= 0 {
			c.waiting = slices.Delete(c.waiting, i, i+1)
		}
	}
}

// Reassure writes what the console waits for whenever it was silent for a while, until
// stop is called.
func (c *Console) Reassure(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)

	began, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}

			c.mu.Lock()
			waiting, silent := strings.Join(c.waiting, ", "), time.Since(c.last)
			c.mu.Unlock()
			if waiting != "" && silent >= quiet {
				c.Say("  … %s (%d s)", waiting, int(time.Since(began).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// OneLine returns the text of an error with its lines joined by semicolons.
func OneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
