package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// keptBodies is the number of the newest effects whose body is in memory, unless it is
// longer than maxKeptBody bytes.
const (
	keptBodies  = 1000
	maxKeptBody = 64 << 10
)

// Arrival is one request, as a line of the file. Status is 0 if the connection was dropped or left
// hanging before an effect.
type Arrival struct {
	Time          time.Time       `json:"time"`
	Path          string          `json:"path"`
	Key           string          `json:"key"`
	EventID       string          `json:"event_id,omitempty"`
	CorrelationID string          `json:"correlation_id,omitempty"`
	BodySHA256    string          `json:"body_sha256"`
	Size          int             `json:"size"`
	Status        int             `json:"status"`
	Signature     string          `json:"signature,omitempty"` // ok, bad, or empty when not checked
	Effect        bool            `json:"effect"`
	Repeat        bool            `json:"repeat"`
	Body          json.RawMessage `json:"body,omitempty"`
}

// Effect is what the deliveries with one idempotency key did: one effect, however many requests.
type Effect struct {
	Time       time.Time       `json:"time"`
	Path       string          `json:"path"`
	Key        string          `json:"key"`
	EventID    string          `json:"event_id,omitempty"`
	BodySHA256 string          `json:"body_sha256"`
	Size       int             `json:"size"`
	Repeats    int             `json:"repeats"`
	Signature  string          `json:"signature,omitempty"` // of the first; ok, or empty when not checked
	Body       json.RawMessage `json:"body,omitempty"`
}

// Counts are totals since the start or the last DELETE, including effects that are no longer in
// memory. Received = Effects + Repeats + Refused.
type Counts struct {
	Received int `json:"received"`
	Effects  int `json:"effects"`
	Repeats  int `json:"repeats"`
	Refused  int `json:"refused"`
}

// Report is the answer to GET /effects. List is ordered by time, the newest last.
type Report struct {
	Counts
	Paths map[string]Counts `json:"paths"`
	List  []Effect          `json:"list"`
}

// ledger holds what the sink has received. It is safe for concurrent use.
type ledger struct {
	config Config

	mu    sync.Mutex
	byKey map[string]*Effect // by path and key
	order []*Effect          // oldest first
	paths map[string]Counts
	total Counts
}

func newLedger(c Config) *ledger {
	l := &ledger{config: c}
	l.forget()
	return l
}

func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byKey, l.paths, l.order, l.total = map[string]*Effect{}, map[string]Counts{}, nil, Counts{}
}

// record records an arrival and reports whether its key is known. A request without a key
// is always the first.
func (l *ledger) record(a Arrival, body []byte) (repeat bool) {
	valid := json.Valid(body)
	l.mu.Lock()
	defer l.mu.Unlock()

	a = l.count(a, body, valid)
	if l.config.File != nil {
		if l.config.Bodies && valid {
			a.Body = body
		}
		l.write(a)
	}
	return a.Repeat
}

// restore counts the arrivals of the lines in file, and writes the end of a last line that
// a kill has cut off. It is for a ledger that has recorded nothing.
func (l *ledger) restore(file io.ReadWriter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := bufio.NewReader(file)

	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var a Arrival
		if json.Unmarshal(line, &a) == nil {
			a.Effect = a.Effect || a.Repeat
			l.count(a, a.Body, a.Body != nil)
		}
		if err == nil {
			continue
		}
		if len(line) > 0 {
			_, err := file.Write([]byte{'\n'})
			return err
		}
		return nil
	}
}

// count adds an arrival to the counts, and returns it with what it was: an effect or a
// repeat.
func (l *ledger) count(a Arrival, body []byte, valid bool) Arrival {
	counts := l.paths[a.Path]
	for _, c := range []*Counts{&l.total, &counts} {
		c.Received++
	}
	if a.Effect {
		a.Repeat = !l.addEffect(a, body, valid)
		a.Effect = !a.Repeat
	}

	for _, c := range []*Counts{&l.total, &counts} {
		switch {
		case a.Effect:
			c.Effects++
		case a.Repeat:
			c.Repeats++
		default:
			c.Refused++
		}
	}
	l.paths[a.Path] = counts
	return a
}

// addEffect records an effect unless its key is known, and reports whether it did.
func (l *ledger) addEffect(a Arrival, body []byte, valid bool) bool {
	id := a.Path + "\x00" + a.Key
	if known, ok := l.byKey[id]; ok {
		known.Repeats++
		return false
	}

	e := &Effect{Time: a.Time, Path: a.Path, Key: a.Key, EventID: a.EventID, BodySHA256: a.BodySHA256, Size: a.Size,
		Signature: a.Signature}
	if valid && len(body) <= maxKeptBody {
		e.Body = body
	}
	if a.Key != "" {
		l.byKey[id] = e
	}

	l.order = append(l.order, e)
	if n := len(l.order); n > keptBodies {
		l.order[n-keptBodies-1].Body = nil
	}
	if len(l.order) > l.config.Keys {
		oldest := l.order[0]
		delete(l.byKey, oldest.Path+"\x00"+oldest.Key)
		l.order = l.order[1:]
	}
	return true
}

// write appends one line to the file. An error does not change the answer to the request.
func (l *ledger) write(a Arrival) {
	line, err := json.Marshal(a)
	if err != nil {
		return
	}
	_, _ = l.config.File.Write(append(line, '\n'))
}

// report returns the newest effects, at most limit, that match the arguments that are not empty.
func (l *ledger) report(path, key, eventID string, limit int) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{Counts: l.total, Paths: map[string]Counts{}, List: []Effect{}}
	for p, c := range l.paths {
		r.Paths[p] = c
	}
	for _, e := range slices.Backward(l.order) {
		if len(r.List) == limit {
			break
		}
		if (path == "" || path == e.Path) && (key == "" || key == e.Key) && (eventID == "" || eventID == e.EventID) {
			r.List = append(r.List, *e)
		}
	}
	slices.Reverse(r.List)
	return r
}
