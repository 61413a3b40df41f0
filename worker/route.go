package worker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/activities"
	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/rules"
)

// wireRoute wires the route step.
func (a *activitySet) wireRoute(p *program.Program, cache *manifestCache, o objects, compiled *rules.Rules) error {
	unmatched, err := newUnmatchedCounter(p.File.Tenants, p.Registry)
	if err != nil {
		return err
	}

	a.rules = router{Rules: compiled, durable: withoutFastAttempts(p.File)}
	a.route, err = activities.NewRoute(activities.RouteDeps{
		Ledger: cache, Messages: o, Rules: a.rules,
		CountUnmatched: func(tenant string, recipients int) { unmatched.WithLabelValues(tenant).Add(float64(recipients)) },
	})
	return err
}

// newUnmatchedCounter returns a counter that has every tenant of the configuration, at zero.
func newUnmatchedCounter(tenants []config.Tenant, reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_recipients_unmatched_total",
		Help: "Recipients that no rule takes, of emails of which a rule takes another recipient, by tenant.",
	}, []string{"tenant"})
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	for _, t := range tenants {
		c.WithLabelValues(t.Name)
	}
	return c, nil
}
