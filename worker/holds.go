package worker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/activities"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/program"
	"mailroom/shared/telemetry"
)

// holdPlanner plans reminders and deadlines by the configuration.
type holdPlanner struct{ file *config.File }

// Plan implements activities.Planner.
func (p holdPlanner) Plan(in contract.HoldInput) contract.HoldPlan { return p.file.Plan(in.Reasons) }

// reminderRecorder saves reminders in the ledger, and counts and logs each.
type reminderRecorder struct {
	activities.ReminderLedger
	logger    *slog.Logger
	reminders *prometheus.CounterVec
}

func newReminderRecorder(ledger activities.ReminderLedger, logger *slog.Logger, reg prometheus.Registerer) (*reminderRecorder, error) {
	a := &reminderRecorder{ReminderLedger: ledger, logger: logger, reminders: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_hold_reminders_total",
		Help: "Reminders of emails that are held for long, by the reason of the hold and the level: reminder, escalation, or a deadline that left the email held.",
	}, []string{"reason", "level"})}
	if err := reg.Register(a.reminders); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	for w := range waits() {
		if w.state != contract.Quarantined {
			continue
		}
		for _, level := range activities.ReminderLevels {
			a.reminders.WithLabelValues(string(w.reason), level)
		}
	}
	return a, nil
}

// Attend implements activities.ReminderLedger. A repeat is counted again.
func (a *reminderRecorder) Attend(ctx context.Context, in contract.RemindInput) error {
	if err := a.ReminderLedger.Attend(ctx, in); err != nil {
		return err
	}

	level := activities.ReminderLevel(in)
	reasons := make([]string, 0, len(in.Holds))
	for _, h := range in.Holds {
		reasons = append(reasons, string(h.Reason))
		a.reminders.WithLabelValues(string(h.Reason), level).Inc()
	}

	line := append(telemetry.Attrs(in.Email), "level", level, "number", in.Number, "reasons", reasons, "step", in.Step,
		"held_seconds", (in.AtUnixMilli-in.SinceUnixMilli)/1000)
	if level == activities.LevelReminder {
		a.logger.Info("quarantine.reminder", line...)
		return nil
	}
	a.logger.Warn("quarantine.escalated", line...)
	return nil
}

// wireHolds wires what an email needs that waits for a person. The sender is wired
// before.
func (a *activitySet) wireHolds(p *program.Program, db stores) error {
	reminders, err := newReminderRecorder(db, p.Logger, p.Registry)
	if err != nil {
		return err
	}
	a.holds, err = activities.NewHolds(activities.HoldsDeps{
		Ledger: reminders, Plans: holdPlanner{p.File}, Sender: a.sender, Gate: a.sender, To: p.File.Holds.Notify, Link: p.File.Holds.Link,
	})
	if err != nil {
		return err
	}
	a.standing, err = activities.NewStanding(activities.StandingDeps{Intents: db, Emails: db})
	return err
}
