package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// overviewMinutes is how far back the rates reach.
const overviewMinutes = 60

// Overview measures how things are for tenants, nil meaning all. Its cost grows
// with the emails of the last hour and with what is held, and by a little with all
// emails, which are counted by state.
func (s *Views) Overview(ctx context.Context, now time.Time, tenants []string) (*ledger.Overview, error) {
	o := newOverview(now)
	seen, since := orAll(tenants), o.Rate[0].At
	var batch pgx.Batch
	for query, field := range map[string]func(*ledger.Minute) *int64{
		dbsqlc.CountAccepted:  func(m *ledger.Minute) *int64 { return &m.Accepted },
		dbsqlc.CountDelivered: func(m *ledger.Minute) *int64 { return &m.Delivered },
		dbsqlc.CountHeld:      func(m *ledger.Minute) *int64 { return &m.Held },
	} {
		batch.Queue(query, since, seen).Query(func(rows pgx.Rows) error { return fillMinutes(rows, o.Rate, field) })
	}
	batch.Queue(dbsqlc.MeasureLatency, o.Latency.ObjectiveSeconds, now.Add(-time.Hour), seen).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Latency.Count, &o.Latency.Within, &o.Latency.P50, &o.Latency.P95, &o.Latency.P99)
	})
	batch.Queue(dbsqlc.CountStates, seen).Query(func(rows pgx.Rows) error { return fillStates(rows, o) })
	batch.Queue(dbsqlc.CountReasons, seen).Query(func(rows pgx.Rows) error { return fillReasons(rows, o) })
	batch.Queue(dbsqlc.CountAttention, contract.AttentionReminded, contract.AttentionEscalated, seen).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Attention.Reminded, &o.Attention.Escalated, &o.Attention.Oldest)
	})
	batch.Queue(dbsqlc.MeasureWaiting, seen).QueryRow(func(row pgx.Row) error {
		return row.Scan(&o.Inbox.Waiting, &o.Inbox.OldestSeconds)
	})

	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify("measure overview", err)
	}
	return o, nil
}

// fillStates adds every state, those without emails too.
func fillStates(rows pgx.Rows, o *ledger.Overview) error {
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
