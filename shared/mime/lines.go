package mime

import "bytes"

// cutLine returns the first line of b without its line end, and what follows it. A
// line ends with LF, with any number of CR before it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimRight(line, "\r"), rest
}

// cutHeaderLine is cutLine where a CR alone ends a line as well. Such a line end is
// never an empty line: several in a row are one. odd reports line ends that are
// neither CRLF nor LF.
func cutHeaderLine(b []byte) (line, rest []byte, odd bool) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 {
		return b, nil, false
	}
	end := i
	for end < len(b) && b[end] == '\r' {
		end++
	}
	if end < len(b) && b[end] == '\n' {
		return b[:i], b[end+1:], end-i > 1
	}
	return b[:i], b[end:], true
}

// loneCR reports whether the first line of raw ends with a CR alone.
func loneCR(raw []byte) bool {
	i := bytes.IndexAny(raw, "\r\n")
	if i < 0 || raw[i] == '\n' {
		return false
	}
	for i < len(raw) && raw[i] == '\r' {
		i++
	}
	return i == len(raw) || raw[i] != '\n'
}

// unifyCR makes LF of every CR that no LF follows.
func unifyCR(raw []byte) []byte {
	out := bytes.Clone(raw)
	for i, c := range out {
		if c == '\r' && (i+1 == len(out) || out[i+1] != '\n') {
			out[i] = '\n'
		}
	}
	return out
}

// blank reports whether a line holds nothing but spaces and tabs.
func blank(line []byte) bool { return len(bytes.TrimLeft(line, " \t")) == 0 }

// trimBreak removes one line break from the end.
func trimBreak(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}
