package mime

import "bytes"

// base64Value classifies a character: below 64 a value, otherwise padding, a blank or no
// character of base64.
var base64Value = func() (table [256]byte) {
	for i := range table {
		table[i] = otherByte
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	table['='] = padByte
	for _, c := range " \t\r\n" {
		table[c] = blankByte
	}
	return table
}()

const (
	padByte   = 64
	blankByte = 65
	otherByte = 66
)

// decodeBase64 decodes group by group. Padding ends a group and not the content, because
// some senders encode in pieces and pad each. Characters outside of the alphabet are
// skipped (RFC 2045 §6.8), and the last group needs no padding. After padding, the first
// line that is no base64 ends the content: mailing lists append lines, usually after a
// ruler, which ends the content also without padding.
func decodeBase64(body []byte) (content []byte, decoded base64Result) {
	out := make([]byte, 0, len(body)/4*3+3)
	var group uint32
	var count int
	padded, pad, junk, sane := false, false, false, 0 // lines up to sane have been checked
	for i := 0; i < len(body); i++ {
		v := base64Value[body[i]]
		switch {
		case v < 64:
			if padded && count == 0 && i >= sane {
				length, ok := plausible(body[i:])
				if !ok {
					decoded.rest = body[i:]
					return out, decoded
				}
				sane = i + length
			}
			decoded.pieces = decoded.pieces || pad || junk
			group = group<<6 | uint32(v)
			if count++; count == 4 {
				out = append(out, byte(group>>16), byte(group>>8), byte(group)) //nolint:gosec // the low bytes
				group, count = 0, 0
				padded = false
			}
		case v == padByte:
			out = flush(out, group, count)
			pad = true
			padded = padded || count > 0
			group, count = 0, 0
		case v == otherByte && count == 0 && (padded || ruler(body, i)):
			decoded.rest = body[i:]
			return out, decoded
		case v == otherByte:
			junk = true
		}
	}

	return flush(out, group, count), decoded
}

// ruler reports whether the line at i begins with two dashes or underscores.
func ruler(body []byte, i int) bool {
	return (i == 0 || body[i-1] == '\n' || body[i-1] == '\r') && i+1 < len(body) && body[i] == body[i+1] && (body[i] == '-' || body[i] == '_')
}

// base64Result describes what decodeBase64 found.
type base64Result struct {
	pieces bool   // content was decoded after padding, or after text that is no base64
	rest   []byte // the text after the content
}

// flush appends the bytes of a group of less than four characters.
func flush(out []byte, group uint32, count int) []byte {
	switch count {
	case 2:
		return append(out, byte(group>>4)) //nolint:gosec // the low byte
	case 3:
		return append(out, byte(group>>10), byte(group>>2)) //nolint:gosec // the low bytes
	}
	return out
}

// plausible reports whether the first line of b is only base64: whole groups, or too long
// for a word. It returns the length of the line.
func plausible(b []byte) (length int, ok bool) {
	chars, blanks := 0, false
	for i, c := range b {
		switch v := base64Value[c]; {
		case c == '\n' || c == '\r':
			return i, chars%4 == 0 || chars >= 60
		case v == otherByte, v != blankByte && blanks:
			return i, false
		case v == blankByte:
			blanks = true
		default:
			chars++
		}
	}
	return len(b), chars%4 == 0 || chars >= 60
}

// decodeBase64All decodes all characters of the alphabet, whatever is between them.
func decodeBase64All(body []byte) []byte {
	var out []byte
	for {
		content, decoded := decodeBase64(body)
		out = append(out, content...)
		if len(decoded.rest) == 0 {
			return out
		}
		_, body = cutLine(decoded.rest)
	}
}

// moreBase64 reports whether the text after base64 content looks like more of it: enough
// of it is in lines that are only base64.
func moreBase64(rest []byte) bool {
	chars := 0
	for len(rest) > 0 && chars < 64 {
		line, after := cutLine(rest)
		line = bytes.TrimSpace(line)
		if len(line) >= 4 && alphabetic(line) {
			chars += len(line)
		}
		rest = after
	}
	return chars >= 64
}

// alphabetic reports whether a line has only characters of base64.
func alphabetic(line []byte) bool {
	for _, c := range line {
		if base64Value[c] > padByte {
			return false
		}
	}
	return true
}

// looksBase64 reports whether the first lines of a body are base64.
func looksBase64(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	lines, chars := 0, 0
	for len(body) > 0 && lines < 3 {
		line, after := cutLine(body)
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if !alphabetic(line) {
			return false
		}
		lines++
		chars += len(line)
		body = after
	}
	return chars >= 16 || chars >= 4 && chars%4 == 0 && len(bytes.TrimSpace(body)) == 0
}

// words reports whether a body that is declared as base64 is text: each of its first
// lines has blanks.
func words(body []byte) bool {
	lines := 0
	for len(body) > 0 && lines < 3 {
		line, after := cutLine(body)
		body = after
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !bytes.ContainsAny(line, " \t") {
			return false
		}
		lines++
	}
	return lines > 0
}
