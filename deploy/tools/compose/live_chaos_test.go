package compose_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// provider posts emails as a provider does: each again until it is answered 200.
type provider struct {
	url, secret string
	client      http.Client
	tries       chan bool // one for each request: whether it was accepted
}

// post sends one email once and reports whether it was accepted.
func (p *provider) post(ctx context.Context, id string) bool {
	body := fmt.Appendf(nil, `{"event_id":%q,"recipient":["support@yourapp.example"],"sender":["me@elsewhere.example"],"subject":"Kept","text":"as accepted"}`, id)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(p.secret))
	mac.Write(append([]byte(now+"."), body...))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Webhook-Timestamp", now)
	req.Header.Set("X-Webhook-Signature", hex.EncodeToString(mac.Sum(nil)))
	resp, err := p.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// run posts emails until ctx ends, and returns the ids of those that were accepted.
func (p *provider) run(ctx context.Context, name string) []string {
	var accepted []string
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; {
		id := name + "-" + strconv.Itoa(n)
		ok := p.post(ctx, id)
		if ok {
			accepted = append(accepted, id)
			n++
		}
		select {
		case p.tries <- ok:
		case <-ctx.Done():
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return accepted
}

// nothingIsLost kills each program while emails arrive, restarts all of them, and stops and
// starts the stack. What was accepted is delivered then, each with one effect.
func nothingIsLost(t *testing.T, s *stack) {
	var accepted []string
	for _, name := range []string{"worker", "ingress", "postgres", "temporal", "store", "clamav", "destination", "temporal-ui"} {
		ids := whileEmailsArrive(t, s, name, func(tries <-chan bool) {
			s.run("docker compose kill --signal KILL " + name)
			await(t, tries, 5)
			s.run("docker compose up --detach --wait --no-deps --no-recreate --no-build " + name)
		})
		require.NotEmpty(t, ids, "nothing was accepted around the kill of %s", name)
		accepted = append(accepted, ids...)
	}
	accepted = append(accepted, whileEmailsArrive(t, s, "restart", func(<-chan bool) {
		s.run("docker compose restart")
		s.run("docker compose up --detach --wait --no-build --no-recreate")
	})...)
	s.run("docker compose down")
	s.run("docker compose up --detach --wait --no-build")
	t.Logf("%d emails accepted", len(accepted))

	// Every accepted email has a row, and none waits for anything.
	require.Equal(t, strconv.Itoa(len(accepted)), s.sql("SELECT count(*) FROM emails WHERE event_id = ANY ('{"+strings.Join(accepted, ",")+"}')"))
	s.until(`(?m)^0$`, `docker compose exec -T postgres psql -U postgres -d mailroom -At -c "SELECT count(*) FROM emails WHERE subject = 'Kept' AND state <> 'delivered' OR state IN ('processing', 'retrying')"`)
	oneEffectEach(t, s, accepted)
	s.run("docker compose exec -T ingress mailctl audit verify")
}

// whileEmailsArrive runs act while a provider posts, and returns what was accepted.
func whileEmailsArrive(t *testing.T, s *stack, name string, act func(tries <-chan bool)) []string {
	t.Helper()
	p := &provider{
		url: fmt.Sprintf("http://127.0.0.1:%d/webhooks/email", s.ports["8080"]), secret: s.secrets()["WEBHOOK_SECRET"],
		client: http.Client{Timeout: 10 * time.Second}, tries: make(chan bool),
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan []string, 1)
	go func() { done <- p.run(ctx, name) }()

	await(t, p.tries, 3)
	seen := make(chan bool)
	go func() { // passes on what is asked for, and drops the rest
		defer close(seen)
		for {
			select {
			case ok := <-p.tries:
				select {
				case seen <- ok:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	act(seen)
	awaitAccepted(t, seen)
	stop()
	return <-done
}

// awaitAccepted returns when one more email is accepted.
func awaitAccepted(t *testing.T, tries <-chan bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case ok := <-tries:
			if ok {
				return
			}
		case <-deadline.C:
			t.Fatal("no email is accepted any more")
		}
	}
}

// await returns after n tries.
func await(t *testing.T, tries <-chan bool, n int) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for range n {
		select {
		case <-tries:
		case <-deadline.C:
			t.Fatal("the provider does not post")
		}
	}
}

// oneEffectEach reads the file of the sample destination: one effect for each email, under
// one key.
func oneEffectEach(t *testing.T, s *stack, accepted []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "received.jsonl")
	s.run("docker compose cp destination:/data/received.jsonl " + file)
	content, err := os.Open(file)
	require.NoError(t, err)
	defer content.Close()

	effects, keys := map[string]int{}, map[string]string{}
	lines := bufio.NewScanner(content)
	for lines.Scan() {
		var a struct {
			Key, Signature string
			EventID        string `json:"event_id"`
			Effect, Repeat bool
		}
		if json.Unmarshal(lines.Bytes(), &a) != nil || !a.Effect && !a.Repeat {
			continue // cut off by the kill, or without an effect
		}
		require.Equal(t, "ok", a.Signature)
		if a.Effect {
			effects[a.EventID]++
		}
		if keys[a.EventID] == "" {
			keys[a.EventID] = a.Key
		}
		require.Equal(t, keys[a.EventID], a.Key, "%s has two keys", a.EventID)
	}
	require.NoError(t, lines.Err())
	for _, id := range accepted {
		require.Equal(t, 1, effects[id], "effects of %s", id)
	}
}
