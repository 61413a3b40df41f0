package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// overviewMinutes is how far back the rates reach.
const overviewMinutes = 60

// The statements of the overview read indexes alone.
const (
	countAccepted = `
SELECT date_trunc('minute', received_at), count(*) FROM emails
 WHERE received_at >= @since AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants)) GROUP BY 1`

	countDelivered = `
SELECT date_trunc('minute', closed_at), count(*) FROM emails
 WHERE closed_at >= @since AND state = 'delivered' AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants)) GROUP BY 1`

	countHeld = `
SELECT date_trunc('minute', received_at), count(*) FROM emails
 WHERE received_at >= @since AND state = 'quarantined' AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants)) GROUP BY 1`

	measureLatency = `
SELECT count(*), count(*) FILTER (WHERE took <= @objective),
       coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY took), 0)::float8,
       coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY took), 0)::float8,
       coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY took), 0)::float8
  FROM (SELECT greatest(extract(epoch FROM closed_at - received_at)::float8, 0) AS took FROM emails
         WHERE closed_at >= @hour AND state = 'delivered' AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants))) ended`

	countStates = `
SELECT state, count(*) FROM emails WHERE @tenants::text[] IS NULL OR tenant = ANY(@tenants) GROUP BY state`

	countReasons = `
SELECT state, reason, count(*), min(received_at) FROM emails
 WHERE state IN ('quarantined', 'retrying') AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants))
 GROUP BY state, reason ORDER BY count(*) DESC, reason`

	countAttention = `
SELECT count(*) FILTER (WHERE attention = @reminded), count(*) FILTER (WHERE attention = @escalated), min(received_at)
  FROM emails WHERE attention > 0 AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants))`

	measureInbox = `
SELECT count(*), coalesce(extract(epoch FROM now() - min(i.accepted_at)), 0)::float8
  FROM inbox i JOIN emails e ON e.id = i.email_id
 WHERE ` + waitingRow + ` AND (@tenants::text[] IS NULL OR e.tenant = ANY(@tenants))`
)

// Overview measures how things are for tenants, nil meaning all. Its cost grows
// with the emails of the last hour and with what is held, and by a little with all
// emails, which are counted by state.
func (s *Views) Overview(ctx context.Context, now time.Time, tenants []string) (*ledger.Overview, error) {
	o := newOverview(now)
	args := pgx.NamedArgs{
		"since": o.Rate[0].At, "hour": now.Add(-time.Hour), "tenants": orAll(tenants), "objective": o.Latency.ObjectiveSeconds,
		"reminded": contract.AttentionReminded, "escalated": contract.AttentionEscalated,
	}
	var batch pgx.Batch
	for query, field := range map[string]func(*ledger.Minute) *int64{
		countAccepted:  func(m *ledger.Minute) *int64 { return &m.Accepted },
		countDelivered: func(m *ledger.Minute) *int64 { return &m.Delivered },
		countHeld:      func(m *ledger.Minute) *int64 { return &m.Held },
	} {
		batch.Queue(query, args).Query(func(rows pgx.Rows) error { return fillMinutes(rows, o.Rate, field) })
	}
	batch.Queue(measureLatency, args).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Latency.Count, &o.Latency.Within, &o.Latency.P50, &o.Latency.P95, &o.Latency.P99)
	})
	batch.Queue(countStates, args).Query(func(rows pgx.Rows) error {
		counts := map[contract.State]int64{}
		var (
			state contract.State
			n     int64
		)
		_, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error { counts[state] = n; return nil })
		for _, s := range contract.States {
			o.States = append(o.States, ledger.StateCount{State: s, Count: counts[s]})
		}
		return err
	})
	batch.Queue(countReasons, args).Query(func(rows pgx.Rows) error { return fillReasons(rows, o) })
	batch.Queue(countAttention, args).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Attention.Reminded, &o.Attention.Escalated, &o.Attention.Oldest)
	})
	batch.Queue(measureInbox, args).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Inbox.Waiting, &o.Inbox.OldestSeconds)
	})
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify("measure overview", err)
	}
	return o, nil
}

// newOverview has every minute and nothing counted.
func newOverview(now time.Time) *ledger.Overview {
	o := &ledger.Overview{
		Now: now.UTC(), Rate: make([]ledger.Minute, overviewMinutes),
		Latency: ledger.Latency{ObjectiveSeconds: ledger.Objective.Seconds()},
		Held:    []ledger.ReasonCount{}, Retrying: []ledger.ReasonCount{},
	}
	last := o.Now.Truncate(time.Minute)
	for i := range o.Rate {
		o.Rate[i].At = last.Add(-time.Duration(overviewMinutes-1-i) * time.Minute)
	}
	return o
}

// fillMinutes puts counts where they belong. A minute that is not there yet, by
// another machine's clock, is left out.
func fillMinutes(rows pgx.Rows, rate []ledger.Minute, field func(*ledger.Minute) *int64) error {
	var (
		at time.Time
		n  int64
	)
	_, err := pgx.ForEachRow(rows, []any{&at, &n}, func() error {
		if i := int(at.Sub(rate[0].At) / time.Minute); i >= 0 && i < len(rate) {
			*field(&rate[i]) += n
		}
		return nil
	})
	return err
}

func fillReasons(rows pgx.Rows, o *ledger.Overview) error {
	var (
		state contract.State
		r     ledger.ReasonCount
	)
	_, err := pgx.ForEachRow(rows, []any{&state, &r.Reason, &r.Count, &r.Oldest}, func() error {
		if state == contract.Retrying {
			o.Retrying = append(o.Retrying, r)
		} else {
			o.Held = append(o.Held, r)
		}
		return nil
	})
	return err
}
