package contract

import (
	"strconv"
	"strings"
)

// Bounds of what is kept of unknown signals, whose names anyone who reaches Temporal chooses.
const (
	MaxUnknownSignals = 8  // names of one email
	MaxSignalName     = 64 // bytes of a name, escapes included
)

// UnknownSignal is what is kept of the signals with one name that is not among those of
// InboundEmail.
type UnknownSignal struct {
	// Name is as SignalName returns it. It is empty for the signals with all further
	// names, after the first MaxUnknownSignals.
	Name           string `json:"name,omitempty"`
	Count          int64  `json:"count"`
	FirstUnixMilli int64  `json:"first_unix_milli"`
	LastUnixMilli  int64  `json:"last_unix_milli"`
}

// SignalsInput writes unknown signals to the ledger. Idempotent on Email.ID and the names:
// a smaller count never overwrites a greater one.
type SignalsInput struct {
	Email   Email           `json:"email"`
	Signals []UnknownSignal `json:"signals"`
}

// SignalName returns the name of an unknown signal as people may see it: printable ASCII
// without a backquote, which would end its place in Markdown, and at most MaxSignalName
// bytes long. It is never empty.
func SignalName(name string) string {
	quoted := strconv.QuoteToASCII(name[:min(len(name), MaxSignalName)])
	text := strings.NewReplacer("`", `\x60`, `\"`, `"`).Replace(quoted[1 : len(quoted)-1])
	if len(text) > MaxSignalName || len(name) > MaxSignalName {
		text = text[:min(len(text), MaxSignalName-len(ellipsis))] + ellipsis
	}
	if text == "" {
		return "(empty)"
	}
	return text
}

const ellipsis = "..."
