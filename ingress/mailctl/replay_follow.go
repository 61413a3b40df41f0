package mailctl

import (
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
func (s *session) follow(id int64) error {
	bar, last := terminal(s.stdout) && s.getenv("TERM") != "dumb" && !s.json(), ""
	for {
		var r ledger.ReplayRow
		err := s.getReplay(id, &r)
		if s.ctx.Err() != nil {
			return s.left(id, bar)
		}
		if err != nil {
			return err
		}

		if s.json() {
			if r.State.Final() {
				err = s.printJSON(r)
			}
		} else if line := progressLine(&r); bar {
			err = s.printf("\r\x1b[K%s", progressBar(&r)+line)
		} else if line != last {
			err, last = s.printf("%s\n", line), line
		}

		if err != nil {
			return err
		}

		if r.State.Final() {
			if bar {
				_ = s.printf("\n")
			}
			if r.State == contract.ReplayFailed || r.Failed > 0 {
				return fmt.Errorf("replay %d: %d emails failed; list them with mailctl replay show %d --items --code unavailable", id, r.Failed, id)
			}
			return nil
		}

		if s.pause(replayPoll) != nil {
			return s.left(id, bar)
		}
	}
}

// left says that the replay goes on.
func (s *session) left(id int64, bar bool) error {
	if bar {
		_ = s.printf("\n")
	}
	return s.printf("The replay goes on. mailctl replay stop %d stops it, mailctl replay watch %d follows it.\n", id, id)
}

// pause waits, or ends with the session.
func (s *session) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
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
