package mailctl

import (
	"context"
	"fmt"
	"os"
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

		if s.json() {
			if row.State.Final() {
				err = s.printJSON(row)
			}
		} else if line := progressLine(&row); bar {
			err = s.printf("\r\x1b[K%s", progressBar(&row)+line)
		} else if line != last {
			err, last = s.printf("%s\n", line), line
		}

		if err != nil {
			return err
		}

		if row.State.Final() {
			if bar {
				_ = s.printf("\n")
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
