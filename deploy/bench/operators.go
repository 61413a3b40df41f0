package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledgertest"
)

// The sizes of what the operators' tools are measured with.
const (
	heldShare        = 10   // one email of so many in the ledger is held
	leastLedger      = 1000 // emails; in fewer some questions find nothing
	sampled          = 500  // emails that are asked for by name
	asks             = 200  // requests for one figure
	idle             = 1000 // workflows that do nothing, run before and after a decision about many
	replayRate       = 25   // per second, set; what is measured is how well it is kept
	operatorPatience = 20 * time.Minute
)

// operatorFigures are how long operators wait, and for what.
type operatorFigures struct {
	// Bulk is how many emails a second a decision about all held ones decides.
	Bulk  float64 `json:"bulk_decisions_per_second"`
	Held  int     `json:"bulk_held"`
	Ended float64 `json:"bulk_ended_per_second"` // until the last workflow has ended
	// How many workflows a second that do nothing ran right before and right after.
	NothingBefore float64 `json:"bulk_nothing_per_second_before"`
	NothingAfter  float64 `json:"bulk_nothing_per_second_after"`

	ReplaySet      float64 `json:"replay_rate_set"`
	ReplayMeasured float64 `json:"replay_rate_measured"`

	Asks map[string]acks `json:"asks"`
}

// operatorPart measures what operators wait for.
type operatorPart struct{ *bench }

// run measures the operators' tools. The ledger is filled with made-up emails
// last, so that these slow down no other measurement.
func (p *operatorPart) run(ctx context.Context) (*operatorFigures, error) {
	d := &operatorFigures{Asks: map[string]acks{}}
	if err := p.measureReplay(ctx, d); err != nil {
		return nil, err
	}
	if err := p.measureBatch(ctx, d); err != nil {
		return nil, err
	}

	p.say("a ledger of %d more emails, %d of them held", p.ledger, p.ledger/heldShare)
	all, held, err := p.fill(ctx)
	if err != nil {
		return nil, err
	}
	// Once: a client that signs in for each question soon reaches the limit of sign-ins.
	client, err := p.signedIn(ctx)
	if err != nil {
		return nil, err
	}

	for _, q := range questions(all, held, time.Now(), time.Duration(p.ledger)*ledgertest.Every) {
		got, err := p.ask(ctx, client, q)
		if err != nil {
			return nil, err
		}
		d.Asks[q.name] = got
		p.say("  %s: p50 %.1f, p95 %.1f, p99 %.1f ms", q.name, got.P50, got.P95, got.P99)
	}
	return d, nil
}

// measureBatch holds emails and decides about all of them at once.
func (p *operatorPart) measureBatch(ctx context.Context, d *operatorFigures) error {
	d.Held = p.held
	p.say("a decision about %d held emails", d.Held)
	bodies := p.sender.bodies(d.Held, smallMail, 0)
	for i := range bodies {
		bodies[i] = bytes.ReplaceAll(bodies[i], []byte("support@"), []byte("careful@"))
	}
	if _, err := p.sender.closed(ctx, inFlight, bodies); err != nil {
		return err
	}

	err := poll(ctx, operatorPatience, func() (bool, error) {
		var held int
		err := p.db.QueryRow(ctx, "SELECT count(*) FROM emails WHERE state = 'quarantined'").Scan(&held)
		return held == d.Held, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d held emails: %w", d.Held, err)
	}

	if _, err := p.base.rate(ctx, "Nothing", 100); err != nil { // the first ones are slower and not measured
		return err
	}
	if d.NothingBefore, err = p.base.rate(ctx, "Nothing", min(d.Held, idle)); err != nil {
		return err
	}

	began := time.Now()
	took, err := p.runBatch(ctx, map[string]any{
		"action": "discard", "filter": map[string]any{"state": "quarantined", "reason": "manual_hold"}, "rate": 0, "note": "bench",
	}, d.Held)
	if err != nil {
		return err
	}
	d.Bulk = float64(d.Held) / took.Seconds()
	if err := p.allClosed(ctx); err != nil {
		return err
	}
	d.Ended = float64(d.Held) / time.Since(began).Seconds()
	if d.NothingAfter, err = p.base.rate(ctx, "Nothing", min(d.Held, idle)); err != nil {
		return err
	}
	p.say("  decided %.0f/s, ended %.0f/s; nothing %.0f/s before, %.0f/s after", d.Bulk, d.Ended, d.NothingBefore, d.NothingAfter)
	return nil
}

// measureReplay replays delivered emails at a set rate. Nothing is sent: each delivery is
// the same as before.
func (p *operatorPart) measureReplay(ctx context.Context, d *operatorFigures) error {
	n := p.emails
	p.say("a replay of %d emails at %d/s", n, replayRate)
	if _, err := p.endToEnd(ctx, n, 0); err != nil {
		return err
	}

	took, err := p.runBatch(ctx, map[string]any{
		"action": "replay", "from": "routing", "filter": map[string]any{"state": "delivered"}, "rate": replayRate, "note": "bench",
	}, n)
	if err != nil {
		return err
	}
	// n emails have n-1 gaps between them.
	d.ReplaySet, d.ReplayMeasured = replayRate, float64(n-1)/took.Seconds()
	p.say("  set %d/s, measured %.2f/s", replayRate, d.ReplayMeasured)
	return p.allClosed(ctx)
}

// allClosed waits until every email is closed in the ledger.
func (p *operatorPart) allClosed(ctx context.Context) error {
	return poll(ctx, operatorPatience, func() (bool, error) {
		var open bool
		err := p.db.QueryRow(ctx, "SELECT exists (SELECT FROM emails WHERE closed_at IS NULL)").Scan(&open)
		return !open, err
	})
}

// runBatch starts a batch, waits for its end, and returns the time between its first and
// its last email.
func (p *operatorPart) runBatch(ctx context.Context, body map[string]any, n int) (time.Duration, error) {
	var started struct {
		ID int64 `json:"id"`
	}
	if err := p.api(ctx, http.MethodPost, "/api/v1/replays", body, &started); err != nil {
		return 0, err
	}

	var handled, failed, skipped int
	var took float64
	err := poll(ctx, operatorPatience, func() (bool, error) {
		var state string
		err := p.db.QueryRow(ctx, "SELECT state, done + skipped + failed, skipped, failed FROM replays WHERE id = $1", started.ID).
			Scan(&state, &handled, &skipped, &failed)
		if err == nil && (state == "failed" || state == "stopped") {
			err = fmt.Errorf("the batch has ended as %s", state)
		}
		return state == "done", err
	})
	if err != nil {
		return 0, fmt.Errorf("wait for batch %d: %w", started.ID, err)
	}

	if handled != n || failed != 0 || skipped != 0 {
		return 0, fmt.Errorf("batch %d handled %d of %d emails, skipped %d, failed at %d", started.ID, handled, n, skipped, failed)
	}
	err = p.db.QueryRow(ctx, "SELECT extract(epoch FROM max(at) - min(at)) FROM replay_items WHERE replay_id = $1", started.ID).Scan(&took)
	return time.Duration(took * float64(time.Second)), err
}

// named is an email in the ledger, with the values by which it can be found.
type named struct{ eventID, messageID, sender string }

// fill adds made-up emails to the ledger and returns a sample of all of them and a
// sample of the held ones.
func (p *operatorPart) fill(ctx context.Context) (all, held []named, err error) {
	if p.ledger < leastLedger {
		return nil, nil, fmt.Errorf("a ledger of %d emails is too small for the questions: use at least %d", p.ledger, leastLedger)
	}
	first, last, err := ledgertest.Fill(ctx, p.db, p.ledger, p.ledger/heldShare)
	if err != nil {
		return nil, nil, err
	}

	for _, some := range []struct {
		into *[]named
		of   string
	}{{&all, "true"}, {&held, "state = 'quarantined'"}} {
		rows, _ := p.db.Query(ctx, "SELECT event_id, message_id, sender FROM emails WHERE id BETWEEN $1 AND $2 AND "+some.of+
			" ORDER BY random() LIMIT $3", first, last, sampled)
		*some.into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n named, err error) {
			return n, row.Scan(&n.eventID, &n.messageID, &n.sender)
		})
		if err != nil {
			return nil, nil, fmt.Errorf("choose emails to ask for: %w", err)
		}
	}
	return all, held, nil
}

// question is one kind of request; path returns the next one. A list without an email is
// an error unless none is set.
type question struct {
	name string
	path func() string
	none bool
}

// questions are the requests of operators to a full ledger whose last email arrived now
// and whose first arrived span ago.
func questions(all, held []named, now time.Time, span time.Duration) []question {
	pick := func(of []named) named { return of[rand.IntN(len(of))] } //nolint:gosec // which email is asked for
	list := func(filter ...string) func() string {
		query := url.Values{}
		for i := 0; i < len(filter); i += 2 {
			query.Set(filter[i], filter[i+1])
		}
		return func() string { return "/api/v1/emails?" + query.Encode() }
	}

	return []question{
		{name: "list, newest", path: list("limit", "50")},
		{name: "list, held", path: list("state", "quarantined")},
		{name: "list, held by reason", path: list("state", "quarantined", "reason", "infected")},
		{name: "search, rare word", path: list("q", ledgertest.RareWord)},
		{name: "search, word of a third of all", path: list("q", "invoice")},
		{name: "search, word of the older half", path: list("q", ledgertest.OldWord)},
		{name: "search, no match", path: list("q", "nothing of that kind"), none: true},
		{name: "search, two letters", path: list("q", "zq"), none: true},
		{name: "search, sender", path: func() string { return list("sender", pick(all).sender)() }},
		{name: "search, sender's domain", path: list("sender", "@partner7.example")},
		{name: "search, recipient", path: list("recipient", "sales@")},
		{name: "search, sender, held", path: func() string { return list("state", "quarantined", "sender", pick(held).sender)() }},
		{name: "search, a day", path: func() string {
			since := now.Add(-rand.N(span) - time.Minute).UTC() //nolint:gosec // which day is asked for
			return list("since", since.Format(time.RFC3339), "until", since.Add(24*time.Hour).Format(time.RFC3339))()
		}},
		{name: "search, Message-ID", path: func() string { return list("q", pick(all).messageID)() }},
		{name: "one email", path: func() string { return "/api/v1/emails/" + url.PathEscape(pick(all).eventID) }},
		{name: "overview", path: func() string { return "/api/v1/overview" }},
		{name: "page: inbox", path: func() string { return "/inbox" }},
		{name: "page: search", path: func() string { return "/emails?q=invoice" }},
		{name: "page: one email", path: func() string { return "/emails/" + url.PathEscape(pick(all).eventID) }},
		{name: "page: overview", path: func() string { return "/" }},
	}
}

// ask sends one kind of request repeatedly, one after the other. It measures until the
// whole answer has arrived; client and servers share the machine.
func (p *operatorPart) ask(ctx context.Context, client *http.Client, q question) (acks, error) {
	took := make([]time.Duration, 0, asks)
	began := time.Now()
	for i := range asks + asks/10 {
		start := time.Now()
		path := q.path()
		status, answer, err := get(ctx, client, p.mail.OperatorURL()+path)
		if err != nil {
			return acks{}, err
		}

		if i >= asks/10 { // the first ones are slower and not measured
			took = append(took, time.Since(start))
		}
		if status != http.StatusOK {
			return acks{}, fmt.Errorf("%s, %s, is answered with %d", q.name, path, status)
		}
		if !q.none && bytes.Contains(answer, []byte(`"emails":[]`)) {
			return acks{}, fmt.Errorf("%s, %s, finds nothing", q.name, path)
		}
	}
	return summarise(took, time.Since(began)), nil
}

// signedIn returns a client with a session, as a browser has it.
func (p *operatorPart) signedIn(ctx context.Context) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Jar: jar, Timeout: time.Minute,
		// A page that sends us to the login is no page.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	form := url.Values{"token": {p.operatorToken}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.mail.OperatorURL()+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.mail.OperatorURL())

	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSeeOther || len(jar.Cookies(req.URL)) == 0 {
		return nil, fmt.Errorf("sign in: answered with %d and %d cookies", res.StatusCode, len(jar.Cookies(req.URL)))
	}
	return client, nil
}

// get sends a request and reads the whole answer.
func get(ctx context.Context, client *http.Client, address string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if answer, err = io.ReadAll(res.Body); err != nil {
		return 0, nil, fmt.Errorf("ask: %w", err)
	}
	return res.StatusCode, answer, nil
}

// api calls the operator API.
func (p *operatorPart) api(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.mail.OperatorURL()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.operatorToken)
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

// rows prints the figures.
func (d *operatorFigures) rows(row rower) {
	row(fmt.Sprintf("bulk decision over %d held", d.Held), perSecond(d.Bulk), ">= 200/s", d.Bulk >= 200)
	row("the same, until the last workflow has ended", perSecond(d.Ended), "", true)
	row("workflows that do nothing, right before, right after", perSecond(d.NothingBefore)+", "+perSecond(d.NothingAfter), "", true)
	row("the bulk decision, as a share of those", fmt.Sprintf("%.2f", 2*d.Ended/(d.NothingBefore+d.NothingAfter)), "", true)
	off := d.ReplayMeasured/d.ReplaySet - 1
	row(fmt.Sprintf("replay at %.0f/s", d.ReplaySet), fmt.Sprintf("%.2f/s", d.ReplayMeasured), "within 10 %", off > -.1 && off < .1)
	for _, name := range slices.Sorted(maps.Keys(d.Asks)) {
		a := d.Asks[name]
		row(name+", p50, p95, p99", fmt.Sprintf("%.1f, %.1f, %.1f ms", a.P50, a.P95, a.P99), "p95 < 100 ms", a.P95 < 100)
	}
}
