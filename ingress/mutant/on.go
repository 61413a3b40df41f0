//go:build mutants

package mutant

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// memory is what the defects remember between requests.
var memory struct {
	sync.Mutex
	keys map[string]string
	last int64
}

// window is how long a look-up and the insert that follows it are apart.
const window = 20 * time.Millisecond

// Is reports whether the process has that defect.
func Is(name Name) bool { return Name(os.Getenv(Variable)) == name }

// Key gives the id under which an event is recorded.
func Key(id string) string {
	switch {
	case Is(NoRecord):
		return id + "-" + rand.Text()
	case Is(CheckThenInsert):
		return checked(id)
	}
	return id
}

// checked looks for id and, where it is not there, records it under a new key a
// moment later.
func checked(id string) string {
	memory.Lock()
	known, ok := memory.keys[id]
	memory.Unlock()
	if ok {
		return known
	}
	<-time.After(window)
	key := id + "-" + rand.Text()
	memory.Lock()
	defer memory.Unlock()
	if memory.keys == nil {
		memory.keys = map[string]string{}
	}
	memory.keys[id] = key
	return key
}

// Clock gives the time by which the age of a request is judged.
func Clock(h http.Header, now time.Time) time.Time {
	if stamp, ok := stampOf(h); ok && Is(StaleAccepted) {
		return stamp
	}
	return now
}

func stampOf(h http.Header) (time.Time, bool) {
	n, err := strconv.ParseInt(h.Get("X-Webhook-Timestamp"), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if n < 1e11 {
		return time.Unix(n, 0), true
	}
	return time.UnixMilli(n), true
}

// Late reports whether a request is taken for a repeat because of its age.
func Late(h http.Header) bool {
	stamp, ok := stampOf(h)
	if !ok || !Is(OrderAssumed) {
		return false
	}
	memory.Lock()
	defer memory.Unlock()
	if stamp.UnixMilli() < memory.last {
		return true
	}
	memory.last = stamp.UnixMilli()
	return false
}

// Fresh gives the id under which a start is tried.
func Fresh(id string) string {
	if Is(SentTwice) {
		return id + "-" + rand.Text()
	}
	return id
}

// Verifier is what is fed with a body and then asked.
type Verifier interface {
	io.Writer
	Verify() (keyNumber int, err error)
}

// Feed gives the verifier that is fed with a body.
func Feed(v Verifier) Verifier {
	if Is(VerifiedSerialised) {
		return &reserialised{to: v}
	}
	return v
}

type reserialised struct {
	to   Verifier
	body bytes.Buffer
}

func (r *reserialised) Write(p []byte) (int, error) {
	r.body.Write(p)
	return len(p), nil
}

func (r *reserialised) Verify() (int, error) {
	var value any
	text := r.body.Bytes()
	if json.Unmarshal(text, &value) == nil {
		text, _ = json.Marshal(value)
	}
	_, _ = r.to.Write(text)
	return r.to.Verify()
}

// Do does f where the process has that defect.
func Do(name Name, f func()) {
	if Is(name) {
		f()
	}
}

// Log writes what must not be written.
func Log(logger *slog.Logger, h http.Header, body []byte) {
	if Is(ContentLogged) {
		logger.Info("event.body", slog.String("body", string(body)))
	}
	if Is(HeadersLogged) {
		logger.Info("event.headers", slog.Any("headers", h))
	}
}
