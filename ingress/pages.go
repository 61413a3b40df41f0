package ingress

import (
	"context"
	"fmt"
	"log/slog"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/ledger"
	"mailroom/shared/temporal"
)

// newPages makes the console of what the program has opened.
func newPages(file *config.File, d dependencies, rooms rooms, logger *slog.Logger) (*console.Console, error) {
	return console.New(console.Config{TemporalUI: file.Operator.TemporalUI, Warning: scannerWarning(file.Scanner)}, console.Deps{
		Emails: d.reader, Blobs: d.bodies, Decider: byConsole{rooms.decisions}, Changes: d.reader, Logger: logger,
		Holdings: figures{rooms.whole}, Figures: figures{rooms.whole}, Timelines: timelines{d.reader.Views}, Destinations: destinations{rooms.whole},
		Edits: previews{rooms.editor}, Rules: routing{rooms.whole}, Replays: manyEmails{rooms.many}, Chain: auditChain{d.reader},
	})
}

// scannerWarning is what every page says while the built-in scanner is configured.
func scannerWarning(s config.Scanner) string {
	if !s.BuiltIn {
		return ""
	}
	return "The built-in scanner is configured (scanner: builtin). It knows the EICAR test file and little else: for development only."
}

// rooms is what both the API and the pages lead to.
type rooms struct {
	decisions *decision.Service
	editor    *preview.Editor
	whole     *operations.Service
	many      *batch.Service
}

func newRooms(file *config.File, d dependencies, measured operations.Acks, logger *slog.Logger) (r rooms, err error) {
	if r.editor, err = newEditor(file, d); err != nil {
		return r, err
	}
	r.decisions, err = decision.New(decision.Deps{Intents: d.reader, Decider: temporal.NewDecider(d.temporal), Edits: r.editor, Logger: logger})
	if err != nil {
		return r, err
	}
	if r.whole, err = newDesks(file, d, measured); err != nil {
		return r, fmt.Errorf("configuration: %w", err)
	}
	r.many, err = batch.New(batch.Deps{Ledger: d.reader, Runner: temporal.NewReplays(d.temporal, temporal.Converter(d.keys)), Logger: logger})
	return r, err
}

// byConsole takes decisions that were made on a page.
type byConsole struct{ service *decision.Service }

func (b byConsole) Decide(ctx context.Context, who access.Identity, email *ledger.EmailRow, in console.Request) (contract.DecisionResult, error) {
	return b.service.Decide(ctx, who, contract.ViaConsole, email, decision.Request{Action: in.Action, Note: in.Note, Edit: in.Edit})
}
