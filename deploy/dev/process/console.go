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

// Console writes what happens, one line at a time, each with the time of day. The zero value
// writes nothing.
type Console struct {
	w       io.Writer
	mu      sync.Mutex
	last    time.Time
	promise string
	waiting []*func() string
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
	_, _ = fmt.Fprintf(c.w, "%s  %s\n", c.last.Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// Promise sets what Reassure writes first, "" for nothing: what is safe already while the rest
// is waited for.
func (c *Console) Promise(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promise = what
}

// Await adds what to the list of what the console waits for, until done is called.
func (c *Console) Await(what string) (done func()) {
	return c.AwaitText(func() string { return what })
}

// AwaitText is Await for a text that changes. It is called while the console is locked, so it
// must not write to it.
func (c *Console) AwaitText(what func() string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := &what
	c.waiting = append(c.waiting, entry)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting = slices.DeleteFunc(c.waiting, func(w *func() string) bool { return w == entry })
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

			if waiting, silent := c.awaited(); waiting != "" && silent >= quiet {
				c.Say("… %s (%d s)", waiting, int(time.Since(began).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// awaited returns what the console waits for, "" for nothing, and how long it has been silent.
func (c *Console) awaited() (string, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := make([]string, 0, len(c.waiting))
	for _, what := range c.waiting {
		texts = append(texts, (*what)())
	}

	waiting := strings.Join(texts, ", ")
	if waiting != "" && c.promise != "" {
		waiting = c.promise + ", waiting for " + waiting
	}
	return waiting, time.Since(c.last)
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
