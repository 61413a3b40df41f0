package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/deploy/dev/stack"
)

// report is what a run prints and writes.
type report struct {
	Nothing    float64 `json:"nothing_per_second"`
	Five       float64 `json:"five_activities_per_second"`
	Small      float64 `json:"mailroom_4kb_per_second"`
	Attachment float64 `json:"mailroom_30kb_attachment_per_second"`

	SmallOfNothing      float64 `json:"mailroom_4kb_of_nothing"`
	AttachmentOfNothing float64 `json:"mailroom_30kb_attachment_of_nothing"`
	SmallOfFive         float64 `json:"mailroom_4kb_of_five"`
	AttachmentOfFive    float64 `json:"mailroom_30kb_attachment_of_five"`

	Burst  acks `json:"burst"`
	Steady acks `json:"steady"`

	Memory    map[string]float64 `json:"peak_resident_mib"`
	Ingress   *ingressFigures    `json:"ingress,omitempty"`
	Operators *operatorFigures   `json:"operators,omitempty"`
	Audit     audit              `json:"audit"`
}

// audit counts what became of the emails that were answered 200.
type audit struct {
	Accepted  int64 `json:"accepted"`
	Delivered int64 `json:"delivered"`
	Effects   int64 `json:"effects"`
	Repeats   int64 `json:"repeats"`
}

// counts is what the sample destination has received.
type counts struct {
	Effects int64 `json:"effects"`
	Repeats int64 `json:"repeats"`
}

func (b *bench) effects(ctx context.Context) (counts, error) {
	var c counts
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.mail.SinkURL()+"/effects?limit=0", nil)
	if err != nil {
		return c, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, fmt.Errorf("ask the sink: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	return c, json.NewDecoder(res.Body).Decode(&c)
}

// memory records the highest resident set that ingress and worker have had (VmHWM).
func (b *bench) memory(r *report, suffix string) {
	for _, program := range []string{stack.Ingress, stack.Worker} {
		if peak, err := peakMiB(b.mail.PID(program)); err == nil {
			r.Memory[program+suffix] = peak
		}
	}
}

// peakMiB reads the highest resident set of a process.
func peakMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
}

// ticksPerSecond is the unit of /proc/PID/stat, the same on every Linux.
const ticksPerSecond = 100

// processorTime returns the processor time of the chosen running processes.
func processorTime(chosen func(pid int, name string) bool) (time.Duration, error) {
	found, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, path := range found {
		text, err := os.ReadFile(path) //nolint:gosec // of the kernel
		if err != nil {
			continue // it has ended
		}
		id, rest, _ := strings.Cut(string(text), " (")
		pid, err := strconv.Atoi(id)
		if err != nil {
			return 0, err
		}

		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		if !chosen(pid, name) || len(fields) < 15 {
			continue
		}

		for _, field := range fields[11:13] { // utime, stime
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// print writes the table of figures and their goals.
func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, figure, goal string, reached bool) {
		mark := "ok"
		if !reached {
			mark = "MISSED"
		}
		if goal == "" {
			mark = ""
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, figure, goal, mark)
	}

	_, _ = fmt.Fprintln(w, "\nfigure\tmeasured\tgoal\t")
	if r.Ingress != nil {
		r.Ingress.rows(row)
	}
	if r.Nothing > 0 {
		r.rows(row)
	}
	if r.Operators != nil {
		r.Operators.rows(row)
	}

	row("accepted, delivered, effects, repeats", fmt.Sprintf("%d, %d, %d, %d", r.Audit.Accepted, r.Audit.Delivered, r.Audit.Effects, r.Audit.Repeats),
		"equal", r.Audit.Accepted == r.Audit.Delivered && r.Audit.Accepted == r.Audit.Effects)
	_ = w.Flush()
}

// rower adds a line to the table: name, figure, goal, and whether the goal is reached.
type rower func(name, figure, goal string, reached bool)

func of(f float64) string        { return fmt.Sprintf("%.2f", f) }
func perSecond(f float64) string { return fmt.Sprintf("%.0f/s", f) }

func latencies(a acks) string { return fmt.Sprintf("%.2f, %.2f, %.2f ms", a.P50, a.P99, a.P999) }

// rows prints the figures of emails end to end.
func (r *report) rows(row rower) {
	row("workflow that does nothing", perSecond(r.Nothing), "", true)
	row("workflow with five activities", perSecond(r.Five), "", true)
	row("Mailroom, 4 KB", perSecond(r.Small), "", true)
	row("Mailroom, 30 KB attachment", perSecond(r.Attachment), "", true)
	row("4 KB / nothing", of(r.SmallOfNothing), ">= 0.60", r.SmallOfNothing >= .6)
	row("30 KB attachment / nothing", of(r.AttachmentOfNothing), ">= 0.60", r.AttachmentOfNothing >= .6)
	row("4 KB / five activities", of(r.SmallOfFive), ">= 2.00", r.SmallOfFive >= 2)
	row("30 KB attachment / five activities", of(r.AttachmentOfFive), ">= 2.00", r.AttachmentOfFive >= 2)

	row("burst accepted", perSecond(r.Burst.Rate), ">= 4000/s", r.Burst.Rate >= 4000)
	row("burst ack p50, p99, p99.9", fmt.Sprintf("%.2f, %.2f, %.2f ms", r.Burst.P50, r.Burst.P99, r.Burst.P999), "p99 < 25 ms", r.Burst.P99 < 25)
	row("steady ack p50, p99, p99.9", fmt.Sprintf("%.2f, %.2f, %.2f ms", r.Steady.P50, r.Steady.P99, r.Steady.P999), "p99 < 15 ms", r.Steady.P99 < 15)

	for _, m := range []struct {
		name string
		goal float64
	}{{stack.Worker, 256}, {stack.Ingress, 128}, {stack.Worker + "_16x10MB", 768}, {stack.Ingress + "_16x10MB", 256}} {
		row("peak resident memory, "+m.name, fmt.Sprintf("%.0f MiB", r.Memory[m.name]), fmt.Sprintf("< %.0f MiB", m.goal), r.Memory[m.name] < m.goal)
	}
}

// rows prints the figures of the ingress.
func (d *ingressFigures) rows(row rower) {
	for _, t := range []struct {
		name string
		got  map[string]acks
		goal float64
	}{{"Temporal healthy", d.Healthy, 4000}, {"Temporal stopped", d.Stopped, 6000}} {
		for _, loop := range []string{"closed_1", "closed_16", "closed_64"} {
			got, goal, reached := t.got[loop], "", true
			if loop == "closed_1" {
				goal, reached = "p50 < 1 ms", got.P50 < 1
			}
			row(t.name+", "+loop, perSecond(got.Rate)+"; "+latencies(got), goal, reached)
		}
		burst := t.got["burst"]
		row(t.name+", burst", perSecond(burst.Rate), ">= "+perSecond(t.goal), burst.Rate >= t.goal)
		row(t.name+", burst ack p50, p99, p99.9", latencies(burst), "p99 < 25 ms", burst.P99 < 25)
	}

	row("dispatcher / bare starts", fmt.Sprintf("%s (%s, %s)", of(d.StartsOfBare), perSecond(d.Starts), perSecond(d.BareStarts)), ">= 0.90", d.StartsOfBare >= .9)
	row("bad signature / good", fmt.Sprintf("%s (%.0f, %.0f µs)", of(d.BadOfGood), d.BadCost, d.GoodCost), "<= 0.30", d.BadOfGood <= .3)
	row("ingress, 50 x 25 MiB", fmt.Sprintf("%.0f MiB, %d answered 503", d.HugePeak, d.HugeRefused), "< 256 MiB", d.HugePeak < 256)
}
