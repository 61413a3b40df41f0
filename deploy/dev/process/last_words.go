package process

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
)

// tailSize is how much of the end of a log is read.
const tailSize = 16 << 10

// LastWords returns the line of a log that most likely says why its program ended: the
// last one at level error or fatal, else the last one.
func LastWords(path string) string {
	file, err := os.Open(path) //nolint:gosec // one of the stack's own logs
	if err != nil {
		return "it left no log"
	}
	defer func() { _ = file.Close() }()
	if end, err := file.Seek(0, io.SeekEnd); err == nil {
		_, _ = file.Seek(max(0, end-tailSize), io.SeekStart)
	}
	text, _ := io.ReadAll(file)
	return Reason(text)
}

// Reason is LastWords of a text.
func Reason(log []byte) string {
	var last, worst string
	for line := range bytes.Lines(log) {
		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}
		var bad bool
		last, bad = plainLine(text)
		if bad {
			worst = last
		}
	}
	switch {
	case worst != "":
		return worst
	case last != "":
		return last
	}
	return "it said nothing"
}

// plainLine returns the message of a JSON log line together with its error, other
// lines as they are, and whether the line reports a failure.
func plainLine(line string) (text string, bad bool) {
	var entry struct{ Level, Msg, Message, Error, Err string }
	if line[0] != '{' || json.Unmarshal([]byte(line), &entry) != nil {
		for _, mark := range []string{"FATAL:", "ERROR:", "FATAL ", "ERROR "} {
			bad = bad || strings.Contains(line, mark)
		}
		return line, bad
	}
	for _, part := range []string{entry.Msg, entry.Message, entry.Error, entry.Err} {
		if part != "" && text != "" {
			text += ": "
		}
		text += part
	}
	level := strings.ToUpper(entry.Level)
	return text, level == "ERROR" || level == "FATAL"
}
