package mime

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeUTF7 decodes UTF-7 (RFC 2152), tolerantly: other bytes are read as Windows-1252,
// and half a character at the end of a shift sequence is dropped. HTML in the result is
// not trusted more than other HTML.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for i := 0; i < len(b); {
		if b[i] != '+' {
			out.WriteRune(rune(b[i]))
			i++
			continue
		}
		i++
		if i < len(b) && b[i] == '-' {
			out.WriteByte('+')
			i++
			continue
		}
		start := i
		for i < len(b) && base64Value[b[i]] < 64 {
			i++
		}
		if start == i {
			out.WriteByte('+')
			continue
		}
		shifted(&out, b[start:i])
		if i < len(b) && b[i] == '-' {
			i++
		}
	}

	return out.String()
}

// shifted decodes one shift sequence of UTF-7: UTF-16 in base64 without padding.
func shifted(out *strings.Builder, sequence []byte) {
	var bits uint32
	var count uint
	var high rune
	for _, c := range sequence {
		bits = bits<<6 | uint32(base64Value[c])
		if count += 6; count < 16 {
			continue
		}
		count -= 16
		unit := rune(bits >> count & 0xffff)
		high = writeUnit(out, high, unit)
	}
	if high != 0 {
		out.WriteRune(utf8.RuneError)
	}
}

// writeUnit writes one unit of UTF-16, or returns it if it is the first half of a
// surrogate pair.
func writeUnit(out *strings.Builder, high, unit rune) rune {
	switch {
	case high != 0 && unit >= 0xdc00 && unit < 0xe000:
		out.WriteRune(utf16.DecodeRune(high, unit))
		return 0
	case high != 0:
		out.WriteRune(utf8.RuneError)
	}
	switch {
	case unit >= 0xd800 && unit < 0xdc00:
		return unit
	case unit >= 0xdc00 && unit < 0xe000:
		unit = utf8.RuneError
	}
	out.WriteRune(unit)
	return 0
}

// markedUTF16 reports whether b begins with a byte order mark of UTF-16.
func markedUTF16(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xff\xfe")) && !bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")) && likeUnits(b) ||
		bytes.HasPrefix(b, []byte("\xfe\xff")) && likeUnits(b)
}

// likeUnits distinguishes text of two-byte units from text of one-byte characters that
// begins with the two Latin-1 letters of a byte order mark.
func likeUnits(b []byte) bool {
	b = b[:min(len(b), 4096)]
	return len(b) < 4 || bytes.IndexByte(b, 0) >= 0 || !utf8.Valid(b[2:])
}

// likeUTF16 reports whether text without a byte order mark is UTF-16: in most of it every
// second byte is NUL.
func likeUTF16(b []byte) bool {
	even, odd, units := nuls(b)
	return units >= 4 && max(even, odd) >= units*3/4 && min(even, odd) <= units/16
}

// nuls counts NUL at even and odd positions of the first two-byte units.
func nuls(b []byte) (even, odd, units int) {
	b = b[:min(len(b), 4096)]
	for i := 0; i+1 < len(b); i += 2 {
		units++
		if b[i] == 0 {
			even++
		}
		if b[i+1] == 0 {
			odd++
		}
	}
	return even, odd, units
}

// markedUTF32 reports whether b begins with a byte order mark of UTF-32.
func markedUTF32(b []byte) bool {
	return len(b)%4 == 0 && (bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")) || bytes.HasPrefix(b, []byte("\x00\x00\xfe\xff")))
}

// decodeUTF16 decodes UTF-16. Without a byte order mark and a declared order, it uses the
// order in which blanks, line ends and ASCII appear, otherwise big-endian (RFC 2781
// §4.3). A remaining single byte becomes U+FFFD.
func decodeUTF16(b []byte, big, little bool) string {
	var order binary.ByteOrder = binary.BigEndian
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order, b = binary.LittleEndian, b[2:]
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		b = b[2:]
	case big:
	case little || littleEndian(b):
		order = binary.LittleEndian
	}

	var out strings.Builder
	out.Grow(len(b))
	var high rune
	for ; len(b) >= 2; b = b[2:] {
		high = writeUnit(&out, high, rune(order.Uint16(b)))
	}

	if high != 0 || len(b) > 0 {
		out.WriteRune(utf8.RuneError)
	}

	return out.String()
}

func littleEndian(b []byte) bool {
	score := 0
	b = b[:min(len(b), 4096)]
	for i := 0; i+1 < len(b); i += 2 {
		first, second := b[i], b[i+1]
		switch {
		case second == 0 && (first == ' ' || first == '\n' || first == '\r'):
			score += 4
		case first == 0 && (second == ' ' || second == '\n' || second == '\r'):
			score -= 4
		case second == 0:
			score++
		case first == 0:
			score--
		}
	}
	return score > 0
}
