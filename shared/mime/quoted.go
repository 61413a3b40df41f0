package mime

import (
	"bytes"
	"encoding/hex"
)

// decodeQuotedPrintable decodes by RFC 2045 §6.7 and keeps invalid text unchanged: an
// equals sign without two digits, bytes that should have been encoded, lines of any
// length. It removes blanks at the end of a line, which are transport padding. A line
// ends with LF, CRLF or, after an equals sign, CR alone.
func decodeQuotedPrintable(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		line, end := body, 0
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			end = 1
			if i > 0 && body[i-1] == '\r' {
				end = 2
			}
			line = body[:i+1-end]
		}
		lineBreak := body[len(line) : len(line)+end]
		body = body[len(line)+end:]
		line = bytes.TrimRight(line, " \t")
		soft := bytes.HasSuffix(line, []byte("="))
		if soft {
			line = line[:len(line)-1]
		}
		out = appendUnquoted(out, line)
		if !soft {
			out = append(out, lineBreak...)
		}
	}

	return out
}

// appendUnquoted appends a line with its encoded bytes decoded.
func appendUnquoted(out, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, '=')
		if i < 0 {
			return append(out, line...)
		}
		out = append(out, line[:i]...)
		line = line[i:]

		if len(line) > 1 && line[1] == '\r' {
			line = line[2:]
			continue
		}
		if len(line) < 3 {
			return append(out, line...)
		}

		var b [1]byte
		if _, err := hex.Decode(b[:], line[1:3]); err != nil {
			out = append(out, '=')
			line = line[1:]
			continue
		}
		out = append(out, b[0])
		line = line[3:]
	}
}
