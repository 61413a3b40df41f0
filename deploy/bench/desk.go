package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sizes of what the operators' tools are measured with.
const (
	ledgerSize  = 100_000
	heldInIt    = 10_000
	asks        = 200 // requests for one figure
	replayRate  = 25  // per second, set; what is measured is how well it is kept
	replayFor   = 40 * time.Second
	deskPatient = 20 * time.Minute
)

// desk is what operators wait for.
type desk struct {
	// Bulk is how many emails a second a decision about all held ones decides.
	Bulk  float64 `json:"bulk_decisions_per_second"`
	Held  int     `json:"bulk_held"`
	Ended float64 `json:"bulk_ended_per_second"` // until the last workflow has ended

	ReplaySet      float64 `json:"replay_rate_set"`
	ReplayMeasured float64 `json:"replay_rate_measured"`

	Asks map[string]acks `json:"asks"`
}

// measureDesk takes the figures of the operators' tools. The ledger is filled last,
// so that what is in it beside real emails is in nobody's way.
func (b *bench) measureDesk(ctx context.Context) (*desk, error) {
	d := &desk{Asks: map[string]acks{}}
	if err := b.replayPace(ctx, d); err != nil {
		return nil, err
	}
	if err := b.bulk(ctx, d); err != nil {
		return nil, err
	}
	b.say("a ledger of %d emails, %d of them held", ledgerSize, heldInIt)
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	for _, a := range b.questions() {
		got, err := b.ask(ctx, a)
		if err != nil {
			return nil, err
		}
		d.Asks[a.name] = got
		b.say("  %s: p50 %.1f, p95 %.1f, p99 %.1f ms", a.name, got.P50, got.P95, got.P99)
	}
	return d, nil
}

// bulk holds emails and decides about all of them at once.
func (b *bench) bulk(ctx context.Context, d *desk) error {
	d.Held = b.held
	b.say("a decision about %d held emails", d.Held)
	bodies := b.sender.bodies(d.Held, smallMail, 0)
	for i := range bodies {
		bodies[i] = bytes.ReplaceAll(bodies[i], []byte("support@"), []byte("careful@"))
	}
	if _, err := b.sender.closed(ctx, inFlight, bodies); err != nil {
		return err
	}
	err := poll(ctx, deskPatient, func() (bool, error) {
		var held int
		err := b.db.QueryRow(ctx, "SELECT count(*) FROM emails WHERE state = 'quarantined'").Scan(&held)
		return held == d.Held, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d held emails: %w", d.Held, err)
	}
	began := time.Now()
	took, err := b.replay(ctx, map[string]any{
		"action": "discard", "filter": map[string]any{"state": "quarantined", "reason": "manual_hold"}, "rate": 0, "note": "bench",
	}, d.Held)
	if err != nil {
		return err
	}
	d.Bulk = float64(d.Held) / took.Seconds()
	err = poll(ctx, deskPatient, func() (bool, error) {
		var open bool
		err := b.db.QueryRow(ctx, "SELECT exists (SELECT FROM emails WHERE closed_at IS NULL)").Scan(&open)
		return !open, err
	})
	d.Ended = float64(d.Held) / time.Since(began).Seconds()
	b.say("  decided %.0f/s, ended %.0f/s", d.Bulk, d.Ended)
	return err
}

// replayPace replays what was delivered at a set rate. What would be sent is the
// same as before, so nothing is.
func (b *bench) replayPace(ctx context.Context, d *desk) error {
	n := int(replayRate * replayFor.Seconds())
	b.say("a replay of %d emails at %d/s", n, replayRate)
	if _, err := b.endToEnd(ctx, n, 0); err != nil {
		return err
	}
	took, err := b.replay(ctx, map[string]any{
		"action": "replay", "from": "routing", "filter": map[string]any{"state": "delivered"}, "rate": replayRate, "note": "bench",
	}, n)
	if err != nil {
		return err
	}
	// n emails have n-1 gaps between them.
	d.ReplaySet, d.ReplayMeasured = replayRate, float64(n-1)/took.Seconds()
	b.say("  set %d/s, measured %.2f/s", replayRate, d.ReplayMeasured)
	return poll(ctx, deskPatient, func() (bool, error) {
		var open bool
		err := b.db.QueryRow(ctx, "SELECT exists (SELECT FROM emails WHERE closed_at IS NULL)").Scan(&open)
		return !open, err
	})
}

// replay starts one and gives the time between its first and its last email.
func (b *bench) replay(ctx context.Context, body map[string]any, n int) (time.Duration, error) {
	var started struct {
		ID int64 `json:"id"`
	}
	if err := b.api(ctx, http.MethodPost, "/api/v1/replays", body, &started); err != nil {
		return 0, err
	}
	var handled, failed, skipped int
	var took float64
	err := poll(ctx, deskPatient, func() (bool, error) {
		var state string
		err := b.db.QueryRow(ctx, "SELECT state, done + skipped + failed, skipped, failed FROM replays WHERE id = $1", started.ID).
			Scan(&state, &handled, &skipped, &failed)
		return state == "done", err
	})
	if err != nil {
		return 0, fmt.Errorf("wait for replay %d: %w", started.ID, err)
	}
	if handled != n || failed != 0 || skipped != 0 {
		return 0, fmt.Errorf("replay %d handled %d of %d emails, skipped %d, failed at %d", started.ID, handled, n, skipped, failed)
	}
	err = b.db.QueryRow(ctx, "SELECT extract(epoch FROM max(at) - min(at)) FROM replay_items WHERE replay_id = $1", started.ID).Scan(&took)
	return time.Duration(took * float64(time.Second)), err
}

// fill puts made-up rows beside the real ones.
func (b *bench) fill(ctx context.Context) error {
	const rows = `
INSERT INTO emails (source, event_id, body_sha256, workflow_id, tenant, correlation_id, size, received_at, state, reason, detail,
       sequence, closed_at, raw_key, message_id, subject, sender, recipients, routes)
SELECT 'mailparse', 'fill_' || encode(sha256(n::text::bytea), 'hex'), sha256(n::text::bytea), 'fill_' || encode(sha256(n::text::bytea), 'hex'), 'default', encode(sha256(n::text::bytea), 'hex'), 4096,
       now() - (n * interval '20 seconds'),
       CASE WHEN n % $2 = 0 THEN 'quarantined' ELSE 'delivered' END,
       CASE WHEN n % $2 = 0 THEN (ARRAY['infected','unroutable','schema_invalid','downstream_rejected','manual_hold'])[1 + n / $2 % 5] ELSE '' END,
       '', 3, CASE WHEN n % $2 = 0 THEN NULL ELSE now() - (n * interval '20 seconds') + interval '1 second' END,
       'raw/' || n, '<' || encode(sha256(('m' || n)::bytea), 'hex') || '@mail.example>',
       (ARRAY['Question about an order','Invoice','Re: your ticket','Welcome','Delivery notice'])[1 + n % 5] || ' ' || n,
       'person' || n % 5000 || '@sender' || n % 300 || '.example', ARRAY['support@yourapp.example', 'team' || n % 50 || '@yourapp.example'],
       ARRAY['support']
  FROM generate_series(1, $1::int) n`
	if _, err := b.db.Exec(ctx, rows, ledgerSize, ledgerSize/heldInIt); err != nil {
		return fmt.Errorf("fill the ledger: %w", err)
	}
	if _, err := b.db.Exec(ctx, `
INSERT INTO deliveries (email_id, destination, state, idempotency_key, attempts, last_status, delivered_at)
SELECT id, 'ticketing', 'delivered', workflow_id, 1, 200, closed_at FROM emails WHERE event_id LIKE 'fill\_%' AND state = 'delivered'`); err != nil {
		return fmt.Errorf("fill the ledger: %w", err)
	}
	_, err := b.db.Exec(ctx, "VACUUM (ANALYZE) emails, deliveries")
	return err
}

// question is one kind of request; path gives another one each time.
type question struct {
	name string
	path func() string
}

// questions are what operators ask of a full ledger.
func (b *bench) questions() []question {
	any100k := func() int { return 1 + rand.IntN(ledgerSize) } //nolint:gosec // which row is asked for
	list := func(query string, args ...any) string { return "/api/v1/emails?" + fmt.Sprintf(query, args...) }
	return []question{
		{"list, newest", func() string { return list("limit=50") }},
		{"list, held", func() string { return list("state=quarantined") }},
		{"list, held by reason", func() string { return list("state=quarantined&reason=infected") }},
		{"search, subject, rare", func() string { return list("q=%d", 10_000+rand.IntN(89_999)) }}, //nolint:gosec // which row is asked for
		{"search, subject, in a fifth of all", func() string { return list("q=invoice") }},
		{"search, no match", func() string { return list("q=nothing+of+that+kind+%d", any100k()) }},
		{"search, two letters", func() string { return list("q=zq") }},
		{"search, sender", func() string { return list("sender=person%d%%40sender", any100k()%5000) }},
		{"search, recipient", func() string { return list("recipient=team%d%%40", any100k()%50) }},
		{"search, sender, held", func() string { return list("state=quarantined&sender=person%d%%40", any100k()%5000) }},
		{"search, a day", func() string {
			since := time.Now().Add(-time.Duration(rand.IntN(20*24)) * time.Hour).UTC() //nolint:gosec // which day is asked for
			return list("since=%s&until=%s", url.QueryEscape(since.Format(time.RFC3339)), url.QueryEscape(since.Add(24*time.Hour).Format(time.RFC3339)))
		}},
		{"one email", func() string { return "/api/v1/emails/" + fillID(any100k()) }},
		{"search, Message-ID", func() string { return list("q=%s", url.QueryEscape(fillMessageID(any100k()))) }},
		{"overview", func() string { return "/api/v1/overview" }},
		{"page: inbox", func() string { return "/inbox" }},
		{"page: search", func() string { return "/emails?q=invoice" }},
		{"page: one email", func() string { return "/emails/" + fillID(any100k()) }},
		{"page: overview", func() string { return "/" }},
	}
}

// fillID and fillMessageID give what fill calls its nth email.
func fillID(n int) string { return fmt.Sprintf("fill_%x", sha256.Sum256([]byte(strconv.Itoa(n)))) }
func fillMessageID(n int) string {
	return fmt.Sprintf("<%x@mail.example>", sha256.Sum256([]byte("m"+strconv.Itoa(n))))
}

// ask sends one kind of request again and again, one after the other. What is
// measured is until the whole answer is here, on the same two cores.
func (b *bench) ask(ctx context.Context, q question) (acks, error) {
	client, err := b.signedIn(ctx)
	if err != nil {
		return acks{}, err
	}
	took := make([]time.Duration, 0, asks)
	began := time.Now()
	for i := range asks + asks/10 {
		start := time.Now()
		status, err := get(ctx, client, b.mail.OperatorURL()+q.path())
		if err != nil {
			return acks{}, err
		}
		if status != http.StatusOK {
			return acks{}, fmt.Errorf("%s is answered with %d", q.name, status)
		}
		if i >= asks/10 { // nobody's first steps count
			took = append(took, time.Since(start))
		}
	}
	return summarise(took, time.Since(began)), nil
}

// signedIn gives a client with a session, as a browser has it.
func (b *bench) signedIn(ctx context.Context) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar, Timeout: time.Minute}
	form := url.Values{"token": {b.operatorToken}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.mail.OperatorURL()+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.mail.OperatorURL())
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if u, err := url.Parse(b.mail.OperatorURL()); err != nil || len(jar.Cookies(u)) == 0 {
		return nil, fmt.Errorf("sign in: answered with %d and no cookie", res.StatusCode)
	}
	return client, nil
}

// get asks and reads the whole answer.
func get(ctx context.Context, client *http.Client, address string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	return res.StatusCode, nil
}

// api calls the operator API.
func (b *bench) api(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, b.mail.OperatorURL()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.operatorToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("operator api: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("operator api: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("operator api: %s %s is answered with %d: %.200s", method, path, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}

// rows shows the figures.
func (d *desk) rows(row rower) {
	row(fmt.Sprintf("bulk decision over %d held", d.Held), perSecond(d.Bulk), ">= 200/s", d.Bulk >= 200)
	row("the same, until the last workflow has ended", perSecond(d.Ended), "", true)
	off := d.ReplayMeasured/d.ReplaySet - 1
	row(fmt.Sprintf("replay at %.0f/s", d.ReplaySet), fmt.Sprintf("%.2f/s", d.ReplayMeasured), "within 10 %", off > -.1 && off < .1)
	for _, name := range slices.Sorted(maps.Keys(d.Asks)) {
		a := d.Asks[name]
		row(name+", p50, p95, p99", fmt.Sprintf("%.1f, %.1f, %.1f ms", a.P50, a.P95, a.P99), "p95 < 100 ms", a.P95 < 100)
	}
}
