package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Timeline tells an email's way, oldest first. An email that the ledger does not
// know is not_found.
func (s *Views) Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error) {
	const (
		email = `
SELECT size, encode(body_sha256, 'hex'), received_at, verified_scheme, verified_key, verified_ref, parser, stored_at,
       scanner, scanner_database, raw_view, inspected_at, routes, rules_version, routed_at, state, closed_at
  FROM emails WHERE id = @id`
		verdicts = `SELECT verdict, count(*) FROM attachments WHERE email_id = @id GROUP BY verdict ORDER BY verdict`
		attempts = `
SELECT destination, effect, number, at, took_ms, status, code FROM attempts WHERE email_id = @id`
		legs = `
SELECT destination, state, attempts, last_error, coalesce(delivered_at, updated_at) FROM deliveries
 WHERE email_id = @id AND state IN ('delivered', 'rejected', 'ambiguous')`
		states    = `SELECT at, state, reason, detail FROM transitions WHERE email_id = @id`
		decisions = `SELECT decided_at, action, actor, via, note, reason FROM decisions WHERE email_id = @id`
		reminders = `SELECT at, level, number, deadline, since, reasons FROM reminders WHERE email_id = @id`
		edits     = `
SELECT created_at, actor, applied_at IS NOT NULL, (SELECT coalesce(array_agg(c ->> 'field'), '{}') FROM jsonb_array_elements(changes) c)
  FROM edits WHERE email_id = @id`
		replays = `
SELECT coalesce(i.claimed_at, i.at), r.id, r.actor, r.via, r.action, r.from_step, r.new_effect, i.state, i.code
  FROM replay_items i JOIN replays r ON r.id = i.replay_id WHERE i.email_id = @id`
	)
	var e steps
	var out []ledger.TimelineEntry
	args := pgx.NamedArgs{"id": emailID}
	var batch pgx.Batch
	batch.Queue(email, args).QueryRow(func(row pgx.Row) error { return absent(e.scan(row)) })
	batch.Queue(verdicts, args).Query(func(rows pgx.Rows) error { return e.scanVerdicts(rows) })
	for query, scan := range map[string]func(pgx.CollectableRow) (ledger.TimelineEntry, error){
		attempts: attemptEntry, legs: legEntry, states: stateEntry, decisions: decisionEntry,
		reminders: reminderEntry, edits: editEntry, replays: replayEntry,
	} {
		batch.Queue(query, args).Query(func(rows pgx.Rows) (err error) {
			out, err = pgx.AppendRows(out, rows, scan)
			return err
		})
	}
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify(fmt.Sprintf("read timeline of email %d", emailID), err)
	}
	out = append(out, e.entries()...)
	order(out)
	return out, nil
}

// steps is what the row of an email says of its way.
type steps struct {
	size                                    int64
	hash                                    string
	receivedAt                              time.Time
	scheme                                  string
	key                                     int
	ref                                     string
	parser                                  string
	scanner, database                       string
	rawView                                 contract.RawView
	routes                                  []string
	rules                                   string
	storedAt, inspectedAt, routedAt, closed *time.Time
	state                                   contract.State
	attachments                             int
	verdicts                                []string
}

func (s *steps) scan(row pgx.Row) error {
	return row.Scan(&s.size, &s.hash, &s.receivedAt, &s.scheme, &s.key, &s.ref, &s.parser, &s.storedAt,
		&s.scanner, &s.database, &s.rawView, &s.inspectedAt, &s.routes, &s.rules, &s.routedAt, &s.state, &s.closed)
}

func (s *steps) scanVerdicts(rows pgx.Rows) error {
	var verdict mail.Verdict
	var count int
	_, err := pgx.ForEachRow(rows, []any{&verdict, &count}, func() error {
		s.attachments += count
		if verdict != "" {
			s.verdicts = append(s.verdicts, strconv.Itoa(count)+" "+string(verdict))
		}
		return nil
	})
	return err
}

func (s *steps) entries() []ledger.TimelineEntry {
	out := []ledger.TimelineEntry{{
		At: s.receivedAt, Kind: ledger.TimeReceived, Title: "Received", Detail: fmt.Sprintf("%d bytes, SHA-256 %s", s.size, s.hash),
	}}
	switch {
	case s.scheme == "": // from before this was kept
	case s.key == 0:
		out = append(out, ledger.TimelineEntry{
			At: s.receivedAt, Kind: ledger.TimeVerified, Title: "Not verified", Detail: "the source asks for no signature",
		})
	default:
		out = append(out, ledger.TimelineEntry{
			At: s.receivedAt, Kind: ledger.TimeVerified, Title: "Verified",
			Detail: fmt.Sprintf("%s with key %d (%s)", s.scheme, s.key, s.ref),
		})
	}
	add := func(at *time.Time, kind ledger.TimelineKind, title string, details ...string) {
		if at == nil {
			return
		}
		details = slices.DeleteFunc(details, func(d string) bool { return d == "" })
		out = append(out, ledger.TimelineEntry{At: *at, Kind: kind, Title: title, Detail: strings.Join(details, "; ")})
	}
	add(s.storedAt, ledger.TimeStored, "Stored", amount(s.attachments, "attachment"), s.parser)
	add(s.inspectedAt, ledger.TimeInspected, "Inspected", strings.Join(s.verdicts, ", "), rawView(s.rawView), s.scanner, s.database)
	add(s.routedAt, ledger.TimeRouted, "Routed", strings.Join(s.routes, ", "), prefixed("rules ", s.rules))
	if s.state == contract.Delivered {
		add(s.closed, ledger.TimeClosed, "Delivered")
	}
	return out
}

// rawView says what came of the raw mail as a whole.
func rawView(v contract.RawView) string {
	switch v {
	case "":
		return ""
	case contract.RawAbsent:
		return "no raw mail came, the parts were scanned"
	case contract.RawTooLarge:
		return "raw mail larger than the scanner takes, its parts were scanned"
	default:
		return "raw mail " + string(v)
	}
}

func amount(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
