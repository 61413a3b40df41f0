package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"mailroom/shared/contract"
)

// maxSeconds is the end of the year 9999, the last of RFC 3339. From milliseconds on, a
// number is a time in milliseconds.
const (
	maxSeconds   = 253_402_300_799
	milliseconds = 1e11
)

// values reads single values of known types.
type values struct {
	walker
	keep bool // false: values are checked and dropped, except ids and addresses
}

// is reports whether the next value is of a kind. Null is read and no breach; a value of
// another type is a breach and is skipped. name is the kind for people.
func (v *values) is(kind jx.Type, name string) (bool, error) {
	if null, err := v.null(); null || err != nil {
		return false, err
	}
	if v.d.Next() != kind {
		return false, v.mismatch(name)
	}
	return true, nil
}

// string reads a text of any length.
func (v *values) string(to *string) error {
	if ok, err := v.is(jx.String, "a string"); !ok || err != nil {
		return err
	}
	if !v.keep {
		return v.skip()
	}
	b, err := v.d.StrBytes()
	if err != nil {
		return fmt.Errorf("read string: %w", err)
	}
	*to = clean(string(b))
	return nil
}

// record reads an object or null.
func (v *values) record(member func(name string) error) error {
	if ok, err := v.is(jx.Object, "an object"); !ok || err != nil {
		return err
	}
	return v.object(member)
}

// list reads an array of at most limit elements or null.
func (v *values) list(limit int, element func() error) error {
	if ok, err := v.is(jx.Array, "an array"); !ok || err != nil {
		return err
	}
	return v.array(limit, element)
}

// time reads a text of RFC 3339, or a number of seconds or milliseconds since 1970. Text
// that is no time is a problem, not a breach.
func (v *values) time(to *time.Time) error {
	switch v.d.Next() {
	case jx.Null:
		_, err := v.null()
		return err
	case jx.Number:
		num, ok, err := v.number()
		if err != nil || !ok {
			return err
		}
		t, ok := unixTime(num)
		if !ok {
			v.wrong("must be a time in seconds or milliseconds since 1970, before the year 10000")
		}
		*to = t
		return nil
	case jx.String:
		var text string
		if err := v.string(&text); err != nil || !v.keep {
			return err
		}
		t, ok := parseTime(strings.TrimSpace(text))
		if !ok {
			v.problem("is no time of RFC 3339")
		}
		*to = t
		return nil
	default:
		return v.mismatch("a string or a number")
	}
}

func parseTime(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
		return t.UTC(), true
	}
	if len(text) <= 20 && strings.Trim(text, "0123456789") == "" {
		return unixTime(text)
	}
	return time.Time{}, false
}

func unixTime(num string) (time.Time, bool) {
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || !(f >= 0) || negative(num) {
		return time.Time{}, false
	}
	if f < milliseconds {
		f *= 1000
	}
	if f >= (maxSeconds+1)*1000 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(f))).UTC(), true
}

// size reads a whole number from 0 to MaxSize, in any notation.
func (v *values) size(to *int64) error {
	if ok, err := v.is(jx.Number, "a number"); !ok || err != nil {
		return err
	}
	num, ok, err := v.number()
	if err != nil || !ok {
		return err
	}
	n, ok := wholeNumber(num)
	if !ok {
		v.wrong("must be a whole number from 0 to %d", int64(MaxSize))
		return nil
	}
	*to = n
	return nil
}

// wholeNumber returns the exact value of a JSON number from 0 to MaxSize. It uses the
// digits: as a float64, 1e-400 would be 0.
func wholeNumber(num string) (int64, bool) {
	digits, point := decimal(num)
	if digits == "" {
		return 0, true // -0 is 0 (RFC 8259 §6)
	}
	if negative(num) || point < len(digits) || point > len(strconv.Itoa(MaxSize)) {
		return 0, false
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", point-len(digits)), 10, 64)
	return n, err == nil && n <= MaxSize
}

// negative reports whether a JSON number is below zero, by any amount.
func negative(num string) bool {
	digits, _ := decimal(num)
	return digits != "" && num[0] == '-'
}

// decimal returns the digits of a JSON number without zeros at either end, and the
// position of the decimal point in them, which may be negative or beyond their end.
// Digits are empty for zero.
func decimal(num string) (digits string, point int) {
	mantissa, power := strings.TrimPrefix(num, "-"), ""
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		mantissa, power = mantissa[:i], mantissa[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits = strings.TrimLeft(all, "0")
	point = len(whole) - (len(all) - len(digits))
	if power != "" {
		exponent, _ := strconv.ParseInt(power, 10, 32) // clamped if out of range
		point += int(exponent)
	}
	return strings.TrimRight(digits, "0"), point
}

// base64 reads and decodes content. Invalid content is a problem. Content that was
// decoded is never nil.
func (v *values) base64(to *[]byte) error {
	if ok, err := v.is(jx.String, "a string"); !ok || err != nil {
		return err
	}
	if !v.keep {
		return v.skip()
	}

	raw, err := v.d.Raw()
	if err != nil {
		return fmt.Errorf("read string: %w", err)
	}

	text := []byte(raw[1 : len(raw)-1])
	if bytes.IndexByte(text, '\\') >= 0 { // "\/", "\u002b" and "\r\n" are usual
		if text, err = jx.DecodeBytes(raw).StrAppend(make([]byte, 0, len(raw))); err != nil {
			return fmt.Errorf("read string: %w", err)
		}
	}

	content, ok := decodeBase64(text)
	switch {
	case !ok:
		v.problem("is not base64")
	case *to != nil:
		v.problem("is given twice")
	default:
		*to = content
	}

	return nil
}

// decodeBase64 accepts the standard alphabet or the one for URLs (RFC 4648 §4, §5), but
// no mix, with or without padding, and line breaks anywhere.
func decodeBase64(text []byte) ([]byte, bool) {
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	trimmed := bytes.TrimRight(text, "=\r\n")
	if bytes.Count(text[len(trimmed):], []byte("=")) > 2 {
		return nil, false
	}
	out := make([]byte, encoding.DecodedLen(len(trimmed)))
	n, err := encoding.Decode(out, trimmed)
	if err != nil {
		return nil, false
	}
	return out[:n], true
}

// clean replaces NUL, which PostgreSQL does not accept in text. The tokenizer has already
// replaced lone surrogates with U+FFFD.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// id reads an event id: 1 to 512 bytes, not only white space, without control characters,
// line separators and characters that decoding has replaced, because different ids must
// stay different.
func (v *values) id(to **string) error {
	if null, err := v.null(); null || err != nil {
		return err
	}
	if v.d.Next() != jx.String {
		v.wrongID(" must be a string")
		return v.skip()
	}

	b, ok, err := v.bounded(contract.MaxEventID)
	if err != nil {
		return err
	}
	if !ok {
		v.wrongID(" must be at most 512 bytes")
		return nil
	}

	id := string(b)
	*to = &id
	switch {
	case strings.TrimSpace(id) == "":
		v.wrongID(" must not be empty")
	case strings.ContainsFunc(id, notInID):
		v.wrongID(" must not have control characters, line separators or U+FFFD")
	}

	return nil
}

func notInID(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}
