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

// plans reads what the configuration wants of holds.
type plans struct{ file *config.File }

// Plan implements activities.Planner.
func (p plans) Plan(in contract.HoldInput) contract.HoldPlan { return p.file.Plan(in.Reasons) }

// attendant notes reminders in the ledger, and tells who watches.
type attendant struct {
	activities.HoldLedger
	logger    *slog.Logger
	reminders *prometheus.CounterVec
}

func newAttendant(ledger activities.HoldLedger, logger *slog.Logger, reg prometheus.Registerer) (*attendant, error) {
	a := &attendant{HoldLedger: ledger, logger: logger, reminders: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_hold_reminders_total",
		Help: "Reminders of emails that are held for long, by the reason of the hold and the level: reminder, escalation, or a deadline that left the email held.",
	}, []string{"reason", "level"})}
	if err := reg.Register(a.reminders); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return a, nil
}

// Attend implements activities.HoldLedger. A repeat is counted again.
func (a *attendant) Attend(ctx context.Context, in contract.RemindInput) error {
	if err := a.HoldLedger.Attend(ctx, in); err != nil {
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

// holding wires what looks after emails that wait for a person. The sender must be there.
func (p *parts) holding(of *program.Program, ledger activities.HoldLedger) error {
	watched, err := newAttendant(ledger, of.Logger, of.Registry)
	if err != nil {
		return err
	}
	p.holds, err = activities.NewHolds(activities.HoldsDeps{
		Ledger: watched, Plans: plans{of.File}, Sender: p.sender, Gate: p.sender, To: of.File.Holds.Notify, Link: of.File.Holds.Link,
	})
	return err
}
