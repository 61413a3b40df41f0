package mailctl

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// replayPoll is how often the progress of a replay is read.
const replayPoll = 500 * time.Millisecond

// barWidth is in characters.
const barWidth = 24

// follow shows the progress of a replay until its end: a bar on a terminal, else a line
// for each change; with -o json its row at the end alone. Interrupting it does not stop the
// replay.
func (r replayID) follow(s *session) error {
	bar, last := terminal(s.stdout) && s.getenv("TERM") != "dumb" && !s.json(), ""
	for {
		var row ledger.ReplayRow
		err := r.load(s, &row)
		if s.ctx.Err() != nil {
			return r.leave(s, bar)
		}
		if err != nil {
			return err
		}

		line := progressLine(&row)
		switch {
		case s.json(): // its row at the end alone
		case bar:
			err = s.printf("\r\x1b[K%s", progressBar(&row)+line)
		case line != last:
			err, last = s.printf("%s\n", line), line
		}
		if err != nil {
			return err
		}

		if row.State.Final() {
			if bar {
				_ = s.printf("\n")
			}
			if err := r.awaitOutcomes(s, &row); err != nil {
				return err
			}
			if row.State == contract.ReplayFailed || row.Failed > 0 {
				return fmt.Errorf("replay %d: %d emails failed; list them with mailctl replay show %d --items --code unavailable", r.ID, row.Failed, r.ID)
			}
			return nil
		}

		if pause(s.ctx, replayPoll) != nil {
			return r.leave(s, bar)
		}
	}
}

// outcomeTries is how often the outcomes of a replay that has ended are read until no email
// of it is on its way any more.
const outcomeTries = 20

// awaitOutcomes prints what became of the emails of a replay that has ended, most of which are on
// their way for a moment longer.
func (r replayID) awaitOutcomes(s *session, row *ledger.ReplayRow) error {
	for range outcomeTries {
		if row.Outcomes == nil || row.Outcomes.ByState[contract.Processing] == 0 {
			break
		}
		if pause(s.ctx, replayPoll) != nil {
			break
		}
		if err := r.load(s, row); err != nil {
			return err
		}
	}

	if s.json() {
		return s.printJSON(row)
	}
	return printOutcomes(s, row)
}

// printOutcomes says what became of the emails that a replay has done.
func printOutcomes(s *session, row *ledger.ReplayRow) error {
	o := row.Outcomes
	if o == nil || o.Emails == 0 {
		return nil
	}

	var parts []string
	for _, state := range contract.States {
		n := o.ByState[state]
		if n == 0 {
			continue
		}
		text := strconv.FormatInt(n, 10) + " " + state.Word()
		if state == contract.Quarantined {
			text += " (" + strings.Join(heldFor(o), ", ") + ")"
		}
		parts = append(parts, text)
	}

	of := strconv.FormatInt(o.Emails, 10)
	if o.Emails < row.Done {
		of = "the first " + of
	}
	return s.printf("of %s done are now: %s\n", of, strings.Join(parts, ", "))
}

// heldFor lists the reasons of the emails that are held, again or still, with their counts.
func heldFor(o *ledger.ReplayOutcomes) []string {
	var out []string
	for _, r := range slices.Sorted(maps.Keys(o.HeldFor)) {
		out = append(out, visible(string(r))+" "+strconv.FormatInt(o.HeldFor[r], 10))
	}
	return out
}

// leave says that the replay goes on.
func (r replayID) leave(s *session, bar bool) error {
	if bar {
		_ = s.printf("\n")
	}
	return s.printf("The replay goes on. mailctl replay stop %d stops it, mailctl replay watch %d follows it.\n", r.ID, r.ID)
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return os.ErrDeadlineExceeded
	}
}

func progressLine(r *ledger.ReplayRow) string {
	total := "?"
	if r.Total >= 0 {
		total = strconv.FormatInt(r.Total, 10)
	}
	line := fmt.Sprintf("replay %d %s: %d of %s (%d done, %d skipped, %d failed)",
		r.ID, visible(string(r.State)), r.Done+r.Skipped+r.Failed, total, r.Done, r.Skipped, r.Failed)
	if r.Pace > 0 && !r.State.Final() {
		line += fmt.Sprintf(", %.1f/s", r.Pace)
	}
	if r.Left > 0 {
		line += ", " + age(time.Duration(r.Left*float64(time.Second))) + " left"
	}
	return line
}

func progressBar(r *ledger.ReplayRow) string {
	if r.Total <= 0 {
		return ""
	}
	full := int(min(barWidth, barWidth*(r.Done+r.Skipped+r.Failed)/r.Total))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] "
}
