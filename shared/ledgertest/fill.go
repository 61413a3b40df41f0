// Package ledgertest fills a ledger with many plausible emails, for tests of query plans
// and for the benchmark.
//
// Invariants: the same arguments produce the same emails, apart from their times, which end
// now; the rows are those that acceptance, the steps and the search index would have
// written. Only tests and deploy/bench import this package.
//
// The tables are those of shared/postgres/migrations. Fill is the entry point; the tests of
// plans in shared/postgres show its use.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
)

// Every is the time between the acceptance of two emails.
const Every = 2 * time.Second

// Values that few emails have, for queries that select little.
const (
	RareTenant      = "umbrella"              // one email in 1000
	RareSource      = "postmark"              // one email in 500
	RareDestination = "crm"                   // the emails of RareTenant
	RareSender      = "oddity@lonely.example" // one email in 5000
	RareWord        = "zephyrine"             // one subject in 2000
	OldWord         = "bygone"                // every subject of the older half
)

var (
	words = strings.Fields(`invoice order support question about delivery payment reminder your account meeting report
update request offer contract project monthly weekly urgent follow ticket reply confirmation shipment return refund
customer service team schedule draft review proposal budget server alert backup password reset welcome newsletter
subscription renewal license training travel booking hotel flight receipt statement balance transfer tax document`)
	heldReasons = []contract.Reason{
		contract.Unroutable, contract.Infected, contract.DownstreamExhausted, contract.ManualHold, contract.TypeDenied,
	}
)

// filled is one email that Fill writes.
type filled struct {
	id                        int64
	eventID, source, tenant   string
	messageID, subject        string
	sender, recipient         string
	destination               string
	received                  time.Time
	held, retrying, discarded bool
	reason                    contract.Reason
}

// Fill adds emails to the ledger of conn, with their deliveries and their entries in the
// search index, then vacuums the tables as autovacuum would. Of the emails, held are in
// quarantine, spread evenly. Fill returns the first and the last id. On an error it has
// added nothing, unless the vacuum failed. A second call adds further emails.
func Fill(ctx context.Context, conn *pgx.Conn, emails, held int) (first, last int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("fill ledger: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()

	if err := tx.QueryRow(ctx, `SELECT coalesce(max(id), 0) + 1 FROM emails`).Scan(&first); err != nil {
		return 0, 0, fmt.Errorf("fill ledger: %w", err)
	}

	list := make([]filled, emails)
	random := rand.New(rand.NewPCG(1, uint64(first))) //nolint:gosec // G404, G115: makes test data
	now := time.Now()
	for i := range list {
		list[i] = invent(random, i, emails, held)
		list[i].id = first + int64(i)
		list[i].eventID = fmt.Sprintf("evt_%s", hash("event", list[i].id)[:24])
		list[i].received = now.Add(-time.Duration(emails-i) * Every)
	}

	for _, step := range []func(context.Context, pgx.Tx, []filled) error{copyEmails, copyDeliveries, indexText} {
		if err := step(ctx, tx, list); err != nil {
			return 0, 0, fmt.Errorf("fill ledger: %w", err)
		}
	}

	if err := tx.Commit(ctx); err != nil {
		return 0, 0, fmt.Errorf("fill ledger: %w", err)
	}
	if _, err := conn.Exec(ctx, `VACUUM ANALYZE emails, deliveries, email_search, email_search_new`); err != nil {
		return 0, 0, fmt.Errorf("fill ledger: %w", err)
	}
	return first, first + int64(emails) - 1, nil
}

// invent returns the email at place i of n, of which held are in quarantine.
func invent(random *rand.Rand, i, n, held int) filled {
	subject := make([]string, 3+random.IntN(5))
	for j := range subject {
		subject[j] = words[random.IntN(len(words))]
	}
	if i%2000 == 7 {
		subject[0] = RareWord
	}
	if i < n/2 {
		subject = append(subject, OldWord)
	}

	f := filled{
		subject:   fmt.Sprintf("%s #%d", strings.Join(subject, " "), random.IntN(1_000_000)),
		messageID: fmt.Sprintf("<%s@mail%d.example>", hash("message", int64(i))[:20], i%40),
		sender:    fmt.Sprintf("%s.%d@partner%d.example", words[i%len(words)], random.IntN(5000), i%40),
		recipient: []string{"support", "sales", "invoices", "office"}[i%4] + "@yourapp.example",
		source:    contract.FirstSource, tenant: "default", destination: []string{"ticketing", "archive"}[i%5/4],
	}

	switch {
	case i%1000 == 3:
		f.tenant, f.destination = RareTenant, RareDestination
	case i%10 == 3:
		f.tenant = "acme"
	}
	if i%500 == 9 {
		f.source = RareSource
	}
	if i%5000 == 11 {
		f.sender = RareSender
	}

	switch {
	case i*held/n != (i+1)*held/n:
		f.held, f.reason = true, heldReasons[random.IntN(len(heldReasons))]
	case i%3000 == 13:
		f.discarded = true
	case i%4000 == 17:
		f.retrying, f.reason = true, contract.DownstreamUnavailable
	}
	return f
}

// hash returns 64 hexadecimal digits that depend on kind and i alone.
func hash(kind string, i int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return hex.EncodeToString(sum[:])
}

// copyEmails writes the rows of the emails and moves the sequence of ids past them.
func copyEmails(ctx context.Context, tx pgx.Tx, list []filled) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"emails"}, []string{
		"id", "source", "event_id", "body_sha256", "workflow_id", "tenant", "correlation_id", "size", "received_at", "state",
		"reason", "sequence", "closed_at", "raw_key", "message", "message_id", "subject", "sender", "recipients", "routes",
	}, pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
		f := &list[i]
		sum := sha256.Sum256([]byte(f.eventID))

		state, closed := contract.Delivered, any(f.received.Add(time.Duration(100+i%400)*time.Millisecond))
		switch {
		case f.held:
			state, closed = contract.Quarantined, nil
		case f.retrying:
			state, closed = contract.Retrying, nil
		case f.discarded:
			state = contract.Discarded
		}

		return []any{
			f.id, f.source, f.eventID, sum[:], contract.WorkflowID(f.source, f.eventID), f.tenant, hash("c", f.id)[:16],
			4000, f.received, string(state), string(f.reason), 2, closed, "raw/" + f.eventID, text(f), f.messageID, f.subject,
			f.sender, []string{f.recipient}, []string{"route-" + f.destination},
		}, nil
	}))
	if err != nil {
		return fmt.Errorf("emails: %w", err)
	}

	_, err = tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence('emails', 'id'), $1)`, list[len(list)-1].id)
	if err != nil {
		return fmt.Errorf("emails: %w", err)
	}
	return nil
}

// text returns a parsed message of about the usual size and compressibility.
func text(f *filled) []byte {
	return fmt.Appendf(nil, `{"subject":%q,"text":%q}`, f.subject, strings.Repeat(f.subject+" "+f.messageID+"\n", 12))
}

// copyDeliveries writes a delivery for each email that has reached that step.
func copyDeliveries(ctx context.Context, tx pgx.Tx, list []filled) error {
	var rows [][]any
	for i := range list {
		f := &list[i]
		state := "delivered"
		switch {
		case f.reason == contract.DownstreamExhausted, f.retrying:
			state = "retrying"
		case f.held, f.discarded:
			continue
		}
		rows = append(rows, []any{f.id, f.destination, state, contract.IdempotencyKey(f.eventID, f.destination), 1, f.received})
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"deliveries"},
		[]string{"email_id", "destination", "state", "idempotency_key", "attempts", "updated_at"}, pgx.CopyFromRows(rows))
	if err != nil {
		return fmt.Errorf("deliveries: %w", err)
	}
	return nil
}

// indexText adds the emails to the search index. It drops and creates the indexes, which is
// much faster than adding so many rows to them.
func indexText(ctx context.Context, tx pgx.Tx, list []filled) error {
	if _, err := tx.Exec(ctx, `DROP INDEX IF EXISTS email_search_trigrams, email_search_addresses`); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"email_search"}, []string{"email_id", "text"},
		pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
			f := &list[i]
			return []any{f.id, strings.ToLower(strings.Join([]string{
				f.eventID, f.messageID, f.subject, f.sender, f.recipient,
			}, "\n"))}, nil
		}))
	if err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	_, err = tx.Exec(ctx, `SELECT ensure_search_index()`)
	if err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	return nil
}
