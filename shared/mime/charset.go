package mime

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gogs/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode/utf32"
)

var metaCharset = regexp.MustCompile(`(?i)<meta[^>]{0,200}charset\s*=\s*["']?\s*([a-z0-9_.:-]{1,64})`)

// detectLen is the number of bytes from which a character set is detected.
const detectLen = 64 << 10

// aliases are names that occur in mail and are in no registry.
var aliases = map[string]encoding.Encoding{
	"cp932": japanese.ShiftJIS, "ms932": japanese.ShiftJIS, "x-ms-cp932": japanese.ShiftJIS, "shiftjis": japanese.ShiftJIS, "windows-932": japanese.ShiftJIS,
	"cp949": korean.EUCKR, "ms949": korean.EUCKR, "uhc": korean.EUCKR, "x-windows-949": korean.EUCKR, "ks_c_5601": korean.EUCKR, "euckr": korean.EUCKR,
	"ansi_x3.4": charmap.Windows1252, "latin-1": charmap.Windows1252, "8859-1": charmap.Windows1252, "iso-8859-8-e": charmap.ISO8859_8,
	"cp936": simplifiedchinese.GBK, "ms936": simplifiedchinese.GBK, "windows-936": simplifiedchinese.GBK, "gb_18030": simplifiedchinese.GB18030,
	"cp950": traditionalchinese.Big5, "windows-950": traditionalchinese.Big5, "hz-gb-2312": simplifiedchinese.HZGB2312, "hz": simplifiedchinese.HZGB2312,
	"macroman": charmap.Macintosh, "mac-roman": charmap.Macintosh, "koi8": charmap.KOI8R, "eucjp": japanese.EUCJP,
	"iso2022jp": japanese.ISO2022JP, "iso-2022-jp-1": japanese.ISO2022JP, "iso-2022-jp-2": japanese.ISO2022JP, "iso-2022-jp-3": japanese.ISO2022JP,
	"iso-2022-jp-ms": japanese.ISO2022JP, "cp50220": japanese.ISO2022JP, "cp50221": japanese.ISO2022JP,
	"cp858": charmap.CodePage858, "cp1047": charmap.CodePage1047, "cp037": charmap.CodePage037,
}

// charsetLabel returns the name of a character set in lower case; "" if it is invalid.
func charsetLabel(charset string) string {
	charset, _, _ = strings.Cut(charset, "(") // a comment
	charset = strings.ToLower(strings.Trim(charset, " \t\"';,"))
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language may follow
	charset = strings.Trim(strings.TrimPrefix(charset, "charset="), "\"'")
	if len(charset) > 64 {
		return ""
	}
	if strings.Trim(charset, "abcdefghijklmnopqrstuvwxyz0123456789-_.:+") != "" {
		return ""
	}
	return charset
}

// convert converts bytes of a character set to UTF-8. ok is false if the label is unknown
// or empty. Bytes that the character set does not have become U+FFFD.
func convert(label string, b []byte) (string, bool) {
	switch {
	case label == "":
		return "", false
	case isUTF8(label):
		return strings.ToValidUTF8(string(b), "\uFFFD"), true
	case isASCII(label) && utf8.Valid(b):
		return string(b), true
	case isUTF7(label):
		return decodeUTF7(b), true
	case strings.HasPrefix(label, "utf-16"), strings.HasPrefix(label, "utf16"), label == "ucs-2", label == "iso-10646-ucs-2", label == "unicode":
		return decodeUTF16(b, strings.HasSuffix(label, "be"), strings.HasSuffix(label, "le")), true
	case label == "utf-32" || label == "utf32":
		return decode(b, utf32.UTF32(utf32.BigEndian, utf32.UseBOM)), true
	}
	e := charsetOf(label)
	if e == nil {
		return "", false
	}
	return decode(b, e), true
}

func isUTF8(label string) bool {
	switch label {
	case "utf-8", "utf8", "unicode-1-1-utf-8", "utf8mb4", "utf_8", "utf-8n", "x-utf-8":
		return true
	}
	return false
}

func isASCII(label string) bool {
	switch label {
	case "us-ascii", "ascii", "ansi_x3.4-1968", "usascii", "iso646-us", "7bit", "646":
		return true
	}
	return false
}

func isUTF7(label string) bool {
	switch label {
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-1-1-utf-7", "csunicode11utf7", "unicode-2-0-utf-7", "x-unicode-2-0-utf-7", "x-utf-7":
		return true
	}
	return false
}

// charsetOf returns an encoding by its name in the registries or in aliases; nil if there
// is none.
func charsetOf(label string) encoding.Encoding {
	for _, name := range spellings(label) {
		if e, ok := aliases[name]; ok {
			return e
		}
		// Replacement, for encodings that browsers refuse, is one character for a text.
		if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
			return e
		}
		for _, index := range []*ianaindex.Index{ianaindex.MIME, ianaindex.IANA} {
			if e, err := index.Encoding(name); err == nil && e != nil {
				return e
			}
		}
	}
	return nil
}

// spellings returns a name and other spellings of it.
func spellings(label string) []string {
	names := []string{label}
	add := func(name string) {
		if name != label {
			names = append(names, name)
		}
	}

	plain := strings.ReplaceAll(strings.TrimPrefix(label, "x-"), "_", "-")
	add(plain)
	if number, ok := strings.CutPrefix(plain, "cp"); ok {
		add("windows-" + strings.TrimPrefix(number, "-"))
		add("ibm" + strings.TrimPrefix(number, "-"))
	}
	if number, ok := strings.CutPrefix(plain, "windows"); ok && !strings.HasPrefix(number, "-") {
		add("windows-" + number)
	}
	if number, ok := strings.CutPrefix(plain, "iso8859"); ok {
		add("iso-8859-" + strings.TrimPrefix(number, "-"))
	}
	if number, ok := strings.CutPrefix(plain, "iso-8859"); ok && !strings.HasPrefix(number, "-") {
		add("iso-8859-" + number)
	}

	return names
}

// decode returns bytes of a character set as UTF-8 without NUL.
func decode(b []byte, charset encoding.Encoding) string {
	out, err := charset.NewDecoder().Bytes(b)
	if err != nil { // decoders normally replace invalid bytes; treat an error in the same way
		return clean(string(b))
	}
	return clean(string(out))
}

// toText returns a text body in UTF-8 with LF line ends, and the character set that was
// used: that of its byte order mark; the declared one; UTF-8 if it is valid; the one that
// the HTML declares or that is detected; otherwise Windows-1252, in which every byte is a
// character.
func toText(b []byte, charset string, html bool) (text, label string) {
	text, label = unicodeText(b, charsetLabel(charset), html)
	return strings.ReplaceAll(clean(text), "\r\n", "\n"), label
}

func unicodeText(b []byte, label string, html bool) (text, used string) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if markedUTF32(b) {
		return decode(b, utf32.UTF32(utf32.BigEndian, utf32.UseBOM)), "utf-32"
	}
	if markedUTF16(b) || !strings.HasPrefix(label, "utf-") && likeUTF16(b) {
		return decodeUTF16(b, false, false), "utf-16"
	}

	switch {
	case isUTF8(label) && !neverUTF8(b):
		return string(b), label
	case isUTF8(label):
	case label == "" || isASCII(label):
		if utf8.Valid(b) && !bytes.Contains(b, []byte("\x1b$")) { // ISO-2022 has only ASCII bytes
			return string(b), ""
		}
	default:
		if s, ok := convert(label, b); ok {
			return s, label
		}
		if utf8.Valid(b) {
			return string(b), ""
		}
	}

	if html {
		if m := metaCharset.FindSubmatch(b[:min(len(b), 4096)]); m != nil {
			found := charsetLabel(string(m[1]))
			if s, ok := convert(found, b); ok && utf8.ValidString(s) {
				return s, found
			}
		}
	}
	if found := detect(b, html); found != "" {
		if s, ok := convert(found, b); ok {
			return s, found
		}
	}

	return decode(b, charmap.Windows1252), "windows-1252"
}

// neverUTF8 reports whether b has bytes above ASCII and none of them are UTF-8: the
// declared character set is wrong, rather than the text damaged.
func neverUTF8(b []byte) bool {
	if utf8.Valid(b) {
		return false
	}
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r != utf8.RuneError && size > 1 {
			return false
		}
		b = b[size:]
	}
	return true
}

// detect guesses the character set of a text; "" if the confidence is too low. The
// detector recognises two-byte character sets in short text too; if most letters are
// above ASCII, its best guess is better than a Western character set.
func detect(b []byte, html bool) string {
	const sure, enough = 85, 100 // of 100; characters
	b = b[:min(len(b), detectLen)]
	if bytes.Contains(b, []byte("\x1b$")) {
		return "iso-2022-jp"
	}
	detector := chardet.NewTextDetector()
	if html {
		detector = chardet.NewHtmlDetector()
	}
	candidates, err := detector.DetectAll(b)
	if err != nil {
		return ""
	}

	// The detector's order varies: ties are broken by name.
	found := slices.MaxFunc(candidates, func(a, b chardet.Result) int {
		return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(a.Charset, b.Charset))
	})
	switch found.Charset {
	case "Shift_JIS", "EUC-JP", "EUC-KR", "Big5", "GB18030", "GB-18030":
		if found.Confidence < sure {
			return ""
		}
	default:
		if !mostlyHigh(b) && (found.Confidence < sure || utf8.RuneCount(b) < enough) {
			return ""
		}
	}
	return charsetLabel(found.Charset)
}

// mostlyHigh reports whether most letters are above ASCII.
func mostlyHigh(b []byte) bool {
	high, letters := 0, 0
	for _, c := range b {
		switch {
		case c >= 0xa0:
			high++
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			letters++
		}
	}
	return high >= 8 && high > letters
}

// clean makes s valid UTF-8 without NUL, the invariant of package mail.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func ascii(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
