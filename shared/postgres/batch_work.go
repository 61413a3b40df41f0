package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// BatchWork is the part of the batches that their workflows use: claims, results, previews.
type BatchWork struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewBatchWork returns the store on db's connections.
func NewBatchWork(db *DB) *BatchWork { return &BatchWork{pool: db.pool, queries: dbsqlc.New(db.pool)} }

// unchanged are the conditions on the emails e of the replay @id: those that were there
// when it was asked for and whose state has not changed since.
var unchanged = []string{
	`e.id <= (SELECT last_id FROM replays WHERE id = @id)`,
	`CASE WHEN (SELECT last_change FROM replays WHERE id = @id) IS NULL
          THEN e.sequence <= (SELECT last_sequence FROM replays WHERE id = @id)
          ELSE e.change <= (SELECT last_change FROM replays WHERE id = @id) END`,
}

// TakeReplay makes the caller the only worker of a replay and returns the fence that
// its claims need from now on: the worker before can claim nothing more.
// It counts the emails that were chosen, the first time.
func (s *BatchWork) TakeReplay(ctx context.Context, id int64) (*ledger.ReplayRow, int64, error) {
	fence, err := s.queries.TakeReplay(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, ledger.NoSuchReplay()
	}

	if err != nil {
		return nil, 0, classify(fmt.Sprintf("take replay %d", id), err)
	}

	r, err := readReplay(ctx, s.queries, id)
	if err != nil || r.Total >= 0 {
		return r, fence, err
	}

	c := chosen(r.Action, r.Filter)
	count := `
UPDATE replays SET total = (SELECT count(*) FROM emails e` + c.where(unchanged...) + `)
 WHERE id = @id AND total < 0`
	if _, err := s.pool.Exec(ctx, count, c.with(pgx.NamedArgs{"id": id})); err != nil {
		return nil, 0, classify(fmt.Sprintf("count emails of replay %d", id), err)
	}

	r, err = readReplay(ctx, s.queries, id)
	return r, fence, err
}

// ClaimReplay claims the next emails of a replay, at most limit and in the order of
// their ids, and moves the replay's position behind them. Claims of a worker that was
// overtaken are a permanent fault; a replay that does not run has none. end says
// that there are no more.
func (s *BatchWork) ClaimReplay(ctx context.Context, r *ledger.ReplayRow, fence int64, limit int) (list []ledger.ReplayEmail, end bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := s.queries.WithTx(tx)
		locked, err := queries.LockReplay(ctx, r.ID)
		if err != nil {
			return err
		}
		if locked.Fence != fence {
			return ledger.Fenced()
		}
		if locked.State != contract.ReplayRunning {
			return nil
		}

		c := chosen(r.Action, r.Filter)
		query := selectReplayEmail + c.where(append([]string{`e.id > @position`}, unchanged...)...) +
			"\n ORDER BY e.id LIMIT @limit"
		rows, _ := tx.Query(ctx, query, c.with(pgx.NamedArgs{
			"id": r.ID, "position": locked.Position, "limit": limit,
		}))
		if list, err = pgx.CollectRows(rows, scanReplayEmail); err != nil {
			return err
		}
		end = len(list) < limit
		ids := make([]int64, len(list))
		for i := range list {
			ids[i] = list[i].ID
		}

		position := locked.LastID
		if !end {
			position = ids[len(ids)-1]
		}
		if err := queries.ClaimReplayItems(ctx, dbsqlc.ClaimReplayItemsParams{ReplayID: r.ID, IDs: ids}); err != nil {
			return err
		}
		return queries.MoveReplay(ctx, dbsqlc.MoveReplayParams{ID: r.ID, Position: position})
	})
	return list, end, classify(fmt.Sprintf("claim emails of replay %d", r.ID), err)
}

const selectReplayEmail = `
SELECT e.id, e.event_id, e.workflow_id, e.correlation_id, e.source, e.tenant, e.state, e.reason, e.size, e.received_at,
       e.body_sha256, e.content_removed_at IS NOT NULL, e.raw_key <> '',
       EXISTS (SELECT FROM inbox s WHERE s.email_id = e.id AND s.started_at IS NOT NULL), ` + refusedEmail + `,` + earliest + `,` + openFindings + `
  FROM emails e`

func scanReplayEmail(row pgx.CollectableRow) (e ledger.ReplayEmail, err error) {
	var hash []byte
	err = row.Scan(&e.ID, &e.EventID, &e.WorkflowID, &e.CorrelationID, &e.Source, &e.Tenant, &e.State, &e.Reason, &e.Size,
		&e.ReceivedAt, &hash, &e.ContentRemoved, &e.Stored, &e.Started, &e.StartRefused, &e.Earliest, &e.Open)
	copy(e.BodySHA256[:], hash)
	return e, err
}

// ClaimedReplay returns the emails that were claimed and have no result, as they are now.
func (s *BatchWork) ClaimedReplay(ctx context.Context, id int64) ([]ledger.ReplayEmail, error) {
	const which = ` JOIN replay_items i ON i.email_id = e.id WHERE i.replay_id = @id AND i.state = 'claimed' ORDER BY e.id`

	rows, _ := s.pool.Query(ctx, selectReplayEmail+which, pgx.NamedArgs{"id": id})
	list, err := pgx.CollectRows(rows, scanReplayEmail)
	for i := range list {
		list[i].Again = true
	}
	return list, classify(fmt.Sprintf("read claims of replay %d", id), err)
}

// SaveReplayResults writes the results of emails that are claimed and counts them;
// those of others change nothing. pace is how many per second there were lately.
func (s *BatchWork) SaveReplayResults(ctx context.Context, id int64, list []ledger.ReplayResult, pace float64) error {
	ids, states := make([]int64, len(list)), make([]string, len(list))
	codes, details := make([]string, len(list)), make([]string, len(list))
	for i, r := range list {
		ids[i], states[i], codes[i], details[i] = r.EmailID, string(r.State), string(r.Code), clean(r.Detail)
	}

	err := s.queries.SaveReplayResults(ctx, dbsqlc.SaveReplayResultsParams{
		ID: id, IDs: ids, States: states, Codes: codes, Details: details, Pace: pace,
	})
	return classify(fmt.Sprintf("save results of replay %d", id), err)
}

// ReplayControl reads what the worker of a replay must obey: its state, its rate and the
// fence of its worker.
func (s *BatchWork) ReplayControl(ctx context.Context, id int64) (state contract.ReplayState, rate float64, fence int64, err error) {
	r, err := s.queries.ReplayControl(ctx, id)
	return r.State, r.Rate, r.Fence, classify(fmt.Sprintf("read control of replay %d", id), err)
}

// PreviewReplay counts what a replay is about, by state, reason and stored content,
// and returns up to limit of the emails, spread over all of them.
func (s *BatchWork) PreviewReplay(ctx context.Context, r *ledger.ReplayRow, limit int) ([]ledger.ReplayGroup, []ledger.ReplayEmail, error) {
	c := chosen(r.Action, r.Filter)
	bound := c.where(unchanged...)
	args := c.with(pgx.NamedArgs{"id": r.ID, "limit": limit})
	groups := `
SELECT e.state, e.reason, e.content_removed_at IS NOT NULL,` + earliest + `,
       ARRAY(SELECT f.reason FROM findings f WHERE f.email_id = e.id AND f.state = 'open' ORDER BY f.reason), count(*)
  FROM emails e` + bound + "\n GROUP BY 1, 2, 3, 4, 5"
	// Hashes of ids are as good as a draw of lots, and the same each time.
	sample := selectReplayEmail + bound + "\n ORDER BY hashint8(e.id), e.id LIMIT @limit"

	rows, _ := s.pool.Query(ctx, groups, args)
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.ReplayGroup])
	if err != nil {
		return nil, nil, classify(fmt.Sprintf("count emails of replay %d", r.ID), err)
	}
	rows, _ = s.pool.Query(ctx, sample, args)
	list, err := pgx.CollectRows(rows, scanReplayEmail)
	return counts, list, classify(fmt.Sprintf("choose a sample of replay %d", r.ID), err)
}

// SaveReplayPreview keeps what a dry run found and ends it.
func (s *BatchWork) SaveReplayPreview(ctx context.Context, id int64, p *ledger.ReplayPreview) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode preview: %w", err)
	}
	err = s.queries.SaveReplayPreview(ctx, dbsqlc.SaveReplayPreviewParams{ID: id, Preview: []byte(clean(string(text))), Total: p.Total})
	return classify(fmt.Sprintf("save preview of replay %d", id), err)
}

// IdleReplays returns the replays that should run and on which no worker has worked for
// so long. Dry runs are among them.
func (s *Maintenance) IdleReplays(ctx context.Context, idle time.Duration) ([]ledger.ReplayRow, error) {
	rows, err := s.queries.ListIdleReplays(ctx, idle)
	if err != nil {
		return nil, classify("list idle replays", err)
	}

	list := make([]ledger.ReplayRow, len(rows))
	for i, row := range rows {
		r, err := replayOf(dbsqlc.FindReplayRow(row))
		if err != nil {
			return nil, classify("list idle replays", err)
		}
		list[i] = *r
	}
	return list, nil
}

// UntoldEnds returns the claims without a result of replays that discard and that are
// paused or over, where claim and end are older than age. Those that wait for nothing
// but their turn come last, and the order is another one each time: no claim that
// nothing can be said of keeps others from being looked at.
func (s *Maintenance) UntoldEnds(ctx context.Context, age time.Duration, limit int) ([]ledger.UntoldEnd, error) {
	rows, _ := s.pool.Query(ctx, dbsqlc.ListUnrecordedEnds, age, limit) // its error comes with the rows
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[ledger.UntoldEnd])
	return list, classify("list claims without a result", err)
}

// Destinations lists where an email has a delivery, sorted.
func (s *Deliveries) Destinations(ctx context.Context, emailID int64) ([]string, error) {
	list, err := s.queries.ListEmailDestinations(ctx, emailID)
	return list, classify(fmt.Sprintf("read destinations of email %d", emailID), err)
}

// ReplayIntent returns the intent of a replay, which it inserts the first time:
// the one decision that all its held emails are sent.
func (s *BatchWork) ReplayIntent(ctx context.Context, id int64) (int64, error) {
	var intent int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := s.queries.WithTx(tx)
		known, err := queries.LockReplayIntent(ctx, id)
		if err != nil {
			return err
		}
		if known != nil {
			intent = *known
			return nil
		}

		if intent, err = queries.InsertReplayIntent(ctx, id); err != nil {
			return err
		}
		return queries.SetReplayIntent(ctx, dbsqlc.SetReplayIntentParams{ID: id, Intent: intent})
	})
	if err != nil {
		return 0, classify(fmt.Sprintf("write intent of replay %d", id), err)
	}
	return intent, nil
}

// TookIntent reports whether the decision of an intent about an email is written down.
func (s *Decisions) TookIntent(ctx context.Context, emailID, intent int64) (bool, error) {
	took, err := s.queries.DecisionOfIntent(ctx, dbsqlc.DecisionOfIntentParams{EmailID: emailID, Intent: intent})
	return took, classify(fmt.Sprintf("look for intent %d of email %d", intent, emailID), err)
}
