package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/shared/signing"
)

// inFlight is how many callers a closed loop has.
const inFlight = 16

// sender posts signed emails to the ingress.
type sender struct {
	url    string
	secret string
	http   *http.Client
	run    string
	serial atomic.Int64
}

func newSender(url, secret string) *sender {
	return &sender{
		url: url + "/webhooks/email", secret: secret, run: strings.ToLower(rand.Text()[:6]),
		http: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256},
		},
	}
}

// body returns an email of about size bytes, or, where attachment is not zero, one with an
// attachment of so many random bytes.
func (s *sender) body(size, attachment int) []byte {
	id := fmt.Sprintf("bench_%s_%d", s.run, s.serial.Add(1))
	event := map[string]any{
		"event_id": id, "timestamp": "2026-01-02T03:04:05Z", "type": "email.received",
		"envelope":  map[string]any{"mail_from": "sender@elsewhere.example", "rcpt_to": []string{"support@yourapp.example"}},
		"sender":    []any{map[string]any{"address": "sender@elsewhere.example", "name": "A Sender"}},
		"recipient": []string{"support@yourapp.example"}, "subject": "Question about an order",
		"attachments": []any{},
	}

	if attachment > 0 {
		content := make([]byte, attachment)
		_, _ = rand.Read(content)
		event["attachments"] = []any{map[string]any{
			"filename": "photo.bin", "content_type": "application/octet-stream", "size": attachment,
			"content_base64": base64.StdEncoding.EncodeToString(content),
		}}
	}

	without, _ := json.Marshal(event) //nolint:errchkjson // plain values
	filler := max(size-len(without)-len(`,"text":""`), 0)
	if attachment > 0 {
		filler = 2000
	}
	event["text"] = strings.Repeat("words of a mail. ", filler/17+1)[:filler]
	b, _ := json.Marshal(event) //nolint:errchkjson // plain values
	return b
}

// post posts an email and returns the time to the answer; any status but 200 is an error.
func (s *sender) post(ctx context.Context, body []byte) (time.Duration, error) {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Webhook-Timestamp", stamp)
	req.Header.Set("X-Webhook-Signature", signing.TimestampHMAC(s.secret, stamp, body))

	began := time.Now()
	res, err := s.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("post: %w", err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	took := time.Since(began)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the ingress answers %d", res.StatusCode)
	}
	return took, nil
}

// acks are the latencies that the callers measured.
type acks struct {
	Rate  float64 `json:"accepted_per_second"`
	P50   float64 `json:"ack_p50_ms"`
	P95   float64 `json:"ack_p95_ms"`
	P99   float64 `json:"ack_p99_ms"`
	P999  float64 `json:"ack_p999_ms"`
	Count int     `json:"count"`
}

func summarise(took []time.Duration, wall time.Duration) acks {
	slices.Sort(took)
	at := func(p float64) float64 {
		i := min(int(p*float64(len(took))), len(took)-1)
		return float64(took[i].Microseconds()) / 1000
	}
	return acks{
		Rate: float64(len(took)) / wall.Seconds(), P50: at(.5), P95: at(.95), P99: at(.99), P999: at(.999), Count: len(took),
	}
}

// closed posts bodies in a closed loop: each caller posts the next one after its answer.
// The bodies are made beforehand, so that making them is not measured.
func (s *sender) closed(ctx context.Context, callers int, bodies [][]byte) (acks, error) {
	took := make([]time.Duration, len(bodies))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup

	began := time.Now()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(bodies)) && failed.Load() == nil; i = next.Add(1) - 1 {
				d, err := s.post(ctx, bodies[i])
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				took[i] = d
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)

	if err := failed.Load(); err != nil {
		return acks{}, *err
	}
	return summarise(took, wall), nil
}

// open posts bodies at a steady rate, however long answers take. The time of each starts
// when it was due.
func (s *sender) open(ctx context.Context, perSecond int, bodies [][]byte) (acks, error) {
	took := make([]time.Duration, len(bodies))
	errs := make([]error, len(bodies))
	var wg sync.WaitGroup

	began := time.Now()
	for i, body := range bodies {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		select {
		case <-ctx.Done():
			return acks{}, ctx.Err()
		case <-time.After(time.Until(due)):
		}
		wg.Go(func() {
			_, errs[i] = s.post(ctx, body)
			took[i] = time.Since(due)
		})
	}
	wg.Wait()

	return summarise(took, time.Since(began)), firstOf(errs...)
}

func (s *sender) bodies(n, size, attachment int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = s.body(size, attachment)
	}
	return out
}
