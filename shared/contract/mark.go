package contract

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// LoopHeader is the header field that says which email caused a request or a mail.
// Mailroom sends it to destinations; those that mail onwards because of the request
// copy it, so that the mail is recognised if it comes back.
const LoopHeader = "X-Mailroom-Event-Id"

// maxMark bounds a mark in bytes. A mark is one word, which no mail program may fold,
// and the lines of a mail are at most 998 bytes long (RFC 5322 §2.1.1).
const maxMark = 255

// rowMark begins a mark that has the number of the ledger's row in place of an event
// id. No encoded id begins so.
const rowMark = "%x"

// LoopMark returns the value of LoopHeader for an email: its event id, with what could
// be changed on the way through other programs percent-encoded. Where that is longer
// than 255 bytes, it is the number of the email's ledger row instead.
func LoopMark(e Email) string {
	var b strings.Builder
	for i := range len(e.EventID) {
		c := e.EventID[i]
		if isMark(c) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	if b.Len() > maxMark {
		return rowMark + strconv.FormatInt(e.ID, 10)
	}
	return b.String()
}

// isMark reports whether a byte stands for itself in a mark: it is neither blank nor
// outside ASCII, ends no header, and is no part of an encoded word (RFC 2047 §2).
func isMark(c byte) bool {
	return c > ' ' && c <= '~' && !strings.ContainsRune(`%=?"\,;`, rune(c))
}

// ReadLoopMark returns what a value of LoopHeader names: an event id or, where that is
// empty, a row of the ledger. ok is false for what LoopMark never makes.
func ReadLoopMark(text string) (eventID string, row int64, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxMark {
		return "", 0, false
	}
	if number, found := strings.CutPrefix(text, rowMark); found {
		row, err := strconv.ParseInt(number, 10, 64)
		return "", row, err == nil && row > 0
	}
	eventID, err := url.PathUnescape(text)
	return eventID, 0, err == nil && eventID != ""
}
