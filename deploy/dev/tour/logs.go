package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

const (
	logPoll   = 200 * time.Millisecond
	diePoll   = time.Second
	clockForm = "15:04:05.000"
	maxChunk  = 1 << 20 // bytes of a log that are read at once
)

// follower prints the lines that programs append to their logs after its creation.
type follower struct {
	stack *stack.Stack
	tails []*tail
}

// tail reads one growing file. A restart of the program replaces the file.
type tail struct {
	name   string
	path   string
	file   *os.File
	offset int64
	rest   []byte // of a line that is not complete
}

func follow(s *stack.Stack) *follower {
	f := &follower{stack: s}
	for _, name := range []string{stack.Ingress, stack.Worker, stack.Sink} {
		t := &tail{name: name, path: s.LogFile(name)}
		if file, err := os.Open(t.path); err == nil {
			t.file = file
			if info, err := file.Stat(); err == nil {
				t.offset = info.Size()
			}
		}
		f.tails = append(f.tails, t)
	}
	return f
}

func (f *follower) run(ctx context.Context, out io.Writer) {
	poll, die := time.NewTicker(logPoll), time.NewTicker(diePoll)
	defer poll.Stop()
	defer die.Stop()

	missing := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			for _, t := range f.tails {
				t.close()
			}
			return
		case <-poll.C:
			f.print(out)
		case <-die.C:
			for _, name := range f.stack.Services() {
				ended := !f.stack.Alive(name)
				if ended && !missing[name] {
					_, _ = fmt.Fprintf(out, "%-8s HAS ENDED; up in another terminal starts it again. The last of its log: %s\n", name, process.LastWords(f.stack.LogFile(name)))
				}
				missing[name] = ended
			}
		}
	}
}

// print writes the new lines of all programs in the order of their times.
func (f *follower) print(out io.Writer) {
	type entry struct{ clock, text string }
	var fresh []entry
	for _, t := range f.tails {
		clock := ""
		for _, line := range t.lines() {
			if isRead(line) {
				continue
			}
			text := compact(line)
			if first, _, _ := strings.Cut(text, " "); len(first) == len(clockForm) {
				clock = first // lines without one stay behind the line before
			}
			fresh = append(fresh, entry{clock, fmt.Sprintf("%-8s %s\n", t.name, text)})
		}
	}
	slices.SortStableFunc(fresh, func(a, b entry) int { return strings.Compare(a.clock, b.clock) })
	for _, e := range fresh {
		_, _ = io.WriteString(out, e.text)
	}
}

// isRead reports whether a log line is about a successful read of the operator API. The tour
// itself makes several each second, and they would hide what happens to the mail.
func isRead(line []byte) bool {
	var entry struct {
		Message string `json:"msg"`
		Method  string `json:"method"`
		Status  int    `json:"status"`
	}
	return bytes.Contains(line, []byte("operator.request")) && json.Unmarshal(line, &entry) == nil &&
		entry.Message == "operator.request" && entry.Method == "GET" && entry.Status < 400
}

// lines returns the complete lines that were written since the last call.
func (t *tail) lines() [][]byte {
	if now, err := os.Stat(t.path); err == nil && t.file != nil {
		if was, err := t.file.Stat(); err == nil && !os.SameFile(now, was) {
			t.close()
		}
	}
	if t.file == nil {
		file, err := os.Open(t.path)
		if err != nil {
			return nil
		}
		t.file, t.offset, t.rest = file, 0, nil
	}

	chunk := make([]byte, maxChunk)
	n, _ := t.file.ReadAt(chunk, t.offset)
	t.offset += int64(n)
	t.rest = append(t.rest, chunk[:n]...)
	end := bytes.LastIndexByte(t.rest, '\n')
	if end < 0 {
		return nil
	}
	whole := t.rest[:end]
	t.rest = bytes.Clone(t.rest[end+1:])
	return bytes.Split(whole, []byte("\n"))
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
	t.file = nil
}

// compact returns a short form of a JSON log line: time of day, level unless it is INFO, message,
// and the other attributes as name=value in their order. Any other line is returned unchanged.
func compact(line []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(line))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return string(line)
	}

	var clock, level, message, rest string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return string(line)
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return string(line)
		}
		value := plain(raw)
		switch name {
		case "time":
			clock = value
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
				clock = at.Local().Format(clockForm)
			}
		case "level":
			level = value
		case "msg":
			message = value
		case "program":
		default:
			rest += fmt.Sprintf(" %s=%s", name, value)
		}
	}

	if level == "INFO" {
		level = ""
	} else {
		level += " "
	}
	return strings.TrimSpace(clock+" "+level+message) + rest
}

// plain returns a JSON string without its quotes if it is one word, else unchanged.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && text != "" && !strings.ContainsAny(text, " \t\r\n\"=\x1b") {
		return text
	}
	return string(raw)
}
