package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/testenv"
)

// Bounds of a stream. A provider waits longer between its tries.
const (
	streamEvery  = 120 * time.Millisecond
	streamers    = 24
	streamTries  = 300
	streamPause  = 250 * time.Millisecond
	streamGiveUp = 15 * time.Second // one try
	forgedEach   = 6                // one in so many requests is forged
)

// journal is what a sender knows after the power comes back: an id stands in it,
// on disk, before it is sent, and its status before anything else is done with it.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return &journal{file: f}
}

func (j *journal) write(format string, args ...any) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := fmt.Fprintf(j.file, format+"\n", args...); err != nil {
		return err
	}
	return j.file.Sync()
}

// record is what the journal says of one id.
type record struct {
	forged, accepted bool
}

func (j *journal) read(t *testing.T) map[string]record {
	t.Helper()
	text, err := os.ReadFile(j.file.Name())
	require.NoError(t, err)
	out := map[string]record{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		word := strings.Fields(lines.Text())
		switch r := out[word[1]]; word[0] {
		case "send":
			out[word[1]] = r
		case "forge":
			r.forged = true
			out[word[1]] = r
		case "status":
			r.accepted = r.accepted || strings.HasPrefix(word[2], "2")
			out[word[1]] = r
		}
	}
	require.NoError(t, lines.Err())
	return out
}

// try is one request of a stream.
type try struct {
	id          string
	began, over string // the phases of the stream
	forged      bool
	size        int
	status      int // 0: no answer
	took        time.Duration
	retryAfter  string
}

// stream posts emails at a steady rate until it is stopped, some of them forged,
// and repeats what is not answered 2xx.
type stream struct {
	w       *world
	journal *journal
	client  *http.Client
	cancel  context.CancelFunc
	senders sync.WaitGroup

	mu     sync.Mutex
	secret string
	url    string
	name   string // of the phase
	tries  []try
	failed error
}

func startStream(t *testing.T, w *world) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{
		w: w, journal: newJournal(t), cancel: cancel, name: "before", secret: webhookSecret, url: w.IngressURL(),
		client: &http.Client{Timeout: streamGiveUp, Transport: &http.Transport{MaxIdleConnsPerHost: streamers}},
	}
	letters := make(chan int)
	s.senders.Go(func() {
		defer close(letters)
		tick := time.NewTicker(streamEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			select {
			case letters <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	for range streamers {
		s.senders.Go(func() {
			for n := range letters {
				s.deliver(n)
			}
		})
	}
	t.Cleanup(func() { cancel(); s.senders.Wait(); s.client.CloseIdleConnections() })
	return s
}

// streamSizes are the lengths of the texts in turn: both sides of what a row holds.
var streamSizes = [...]int{20, 4 << 10, 20, 200 << 10}

// deliver sends one letter until it is answered 2xx.
func (s *stream) deliver(n int) {
	id := fmt.Sprintf("%s_%s", s.phase(), newID())
	text := strings.Repeat("a line of an email\n", 1+streamSizes[n%len(streamSizes)]/20)
	body := shapeA(id, "support").with(fields{"text": canaryText + text, "html": ""}).json()
	if n%forgedEach == forgedEach-1 {
		s.noteError(s.journal.write("forge %s", id))
		s.post(id, body, true)
		return
	}
	s.noteError(s.journal.write("send %s", id))
	pause := time.NewTicker(streamPause)
	defer pause.Stop()
	for range streamTries {
		status := s.post(id, body, false)
		s.noteError(s.journal.write("status %s %d", id, status))
		if status/100 == 2 {
			return
		}
		<-pause.C
	}
}

// post makes one try and returns its status.
func (s *stream) post(id string, body []byte, forged bool) int {
	s.mu.Lock()
	one, secret, where := try{id: id, began: s.name, forged: forged, size: len(body)}, s.secret, s.url
	s.mu.Unlock()
	if forged {
		secret = "of another sender"
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, where+"/webhooks/email", bytes.NewReader(body))
	s.noteError(err)
	req.Header.Set("Content-Type", "application/json")
	signed(secret, time.Now(), body)(req.Header)
	began := time.Now()
	if res, err := s.client.Do(req); err == nil {
		var a answer
		if json.NewDecoder(res.Body).Decode(&a) == nil { // an answer that is cut is none
			one.status, one.retryAfter = res.StatusCode, res.Header.Get("Retry-After")
		}
		_ = res.Body.Close()
	}
	one.took = time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	one.over = s.name
	s.tries = append(s.tries, one)
	return one.status
}

// noteError keeps the first error that is the sender's own.
func (s *stream) noteError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

func (s *stream) phase() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

// enter begins a phase: requests from now on belong to it.
func (s *stream) enter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
}

// sign makes the sender use another secret.
func (s *stream) sign(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

// aim sends what comes from now on to another ingress.
func (s *stream) aim(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
}

// within returns the tries that began and ended in a phase, the forged ones left out.
func (s *stream) within(phase string) []try {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []try
	for _, one := range s.tries {
		if one.began == phase && one.over == phase && !one.forged {
			out = append(out, one)
		}
	}
	return out
}

// begun returns the tries that began in a phase, however they ended.
func (s *stream) begun(phase string) []try {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []try
	for _, one := range s.tries {
		if one.began == phase {
			out = append(out, one)
		}
	}
	return out
}

// large reports whether a letter of the phase was accepted that no row holds by itself.
func (s *stream) large(phase string) bool {
	for _, one := range s.within(phase) {
		if one.status/100 == 2 && one.size > 100<<10 {
			return true
		}
	}
	return false
}

// accepted counts the tries of a phase that were answered 2xx.
func (s *stream) accepted(phase string) int {
	n := 0
	for _, one := range s.within(phase) {
		if one.status/100 == 2 {
			n++
		}
	}
	return n
}

// flows waits until n letters of the current phase are accepted.
func (s *stream) flows(t *testing.T, n int) {
	t.Helper()
	phase := s.phase()
	testenv.Eventually(t, func() bool { return s.accepted(phase) >= n }, patience, tick, "phase %s: %d accepted", phase, n)
}

// stop ends the stream once everything that was begun is sent.
func (s *stream) stop(t *testing.T) {
	t.Helper()
	s.cancel()
	done := make(chan struct{})
	go func() { s.senders.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * patience):
		t.Fatal("the senders do not come to an end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.failed)
	for _, one := range s.tries {
		if one.forged {
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable, 0}, one.status, one.id)
		}
	}
}
