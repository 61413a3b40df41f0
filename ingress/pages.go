package ingress

import (
	"context"
	"log/slog"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/desk"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// newPages makes the console of what the program has opened.
func newPages(file *config.File, d dependencies, decisions *desk.Desk, logger *slog.Logger) (*console.Console, error) {
	names := make([]string, 0, len(file.Destinations))
	for _, to := range file.Destinations {
		names = append(names, to.Name)
	}
	return console.New(console.Config{Destinations: names, TemporalUI: file.Operator.TemporalUI}, console.Deps{
		Emails: d.reader, Blobs: d.bodies, Decider: byConsole{decisions}, Changes: d.reader, Logger: logger,
		Holdings: figures{d.reader}, Figures: figures{d.reader}, Timelines: timelines{d.reader}, Destinations: destinations{d.reader, file.Destinations},
	})
}

// byConsole takes decisions that were made on a page.
type byConsole struct{ desk *desk.Desk }

func (b byConsole) Decide(ctx context.Context, who access.Identity, email *ledger.EmailRow, in console.Request) (contract.DecisionResult, error) {
	return b.desk.Decide(ctx, who, contract.ViaConsole, email, desk.Request{Action: in.Action, Note: in.Note, Edit: in.Edit})
}
