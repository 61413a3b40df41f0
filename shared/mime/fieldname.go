package mime

import (
	"bytes"
	"strings"
)

// maxParamName is the length of the longest parameter name at the start of a repaired
// line.
const maxParamName = 41

// paramLine reports whether a line begins like the continuation of a field's parameters:
// a name, perhaps numbered (RFC 2231 §3), and an equals sign.
func paramLine(line []byte) bool {
	const blanks, digits = "\t\n\f\r ", "0123456789"
	rest := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(";")), blanks)
	name := 0
	for name < len(rest) && (letter(rest[name]) || name > 0 && strings.IndexByte(digits+"_-", rest[name]) >= 0) {
		name++
	}
	if name == 0 || name > maxParamName {
		return false
	}

	rest = rest[name:]
	if numbered, ok := bytes.CutPrefix(rest, []byte("*")); ok {
		rest = bytes.TrimLeft(numbered, digits)
		if len(numbered)-len(rest) > 4 {
			return false
		}
		rest = bytes.TrimPrefix(rest, []byte("*"))
	}
	return bytes.HasPrefix(bytes.TrimLeft(rest, blanks), []byte("="))
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// paramBegins reports whether a line continues parameters. A short line of base64 may
// look like one.
func paramBegins(line []byte) bool {
	return paramLine(line) && !alphabetic(bytes.TrimSpace(line))
}

// structural reports whether a field determines how a part is read.
func structural(name string) bool {
	return len(name) > 8 && strings.EqualFold(name[:8], "content-")
}

// knownFields are names that distinguish a header line from text with a colon, together
// with the prefixes Content-, X-, List-, Resent-, ARC- and the like.
var knownFields = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "sender": true, "reply-to": true,
	"message-id": true, "in-reply-to": true, "references": true, "mime-version": true, "received": true, "return-path": true,
	"delivered-to": true, "dkim-signature": true, "authentication-results": true, "received-spf": true, "thread-topic": true,
	"thread-index": true, "importance": true, "priority": true, "precedence": true, "user-agent": true, "organization": true,
	"auto-submitted": true, "keywords": true, "comments": true, "envelope-to": true, "feedback-id": true, "autocrypt": true,
	"accept-language": true, "errors-to": true, "return-receipt-to": true, "disposition-notification-to": true,
}

func knownField(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"content-", "x-", "list-", "resent-", "arc-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return knownFields[name]
}
