package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
)

// maxSeconds is the end of the year 9999, the last that RFC 3339 can write;
// milliseconds is where a number stops being seconds.
const (
	maxSeconds   = 253_402_300_799
	milliseconds = 1e11
)

// string reads a text of any length; only with keep it is held. Here and in the
// functions below, a value of another type breaks the schema and is passed over.
func (s *schema) string(to *string) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.String {
		return s.mismatch("a string")
	}
	if !s.keep {
		return s.skip()
	}
	b, err := s.d.StrBytes()
	if err != nil {
		return fmt.Errorf("read string: %w", err)
	}
	*to = clean(string(b))
	return nil
}

// address reads a text of at most MaxAddress bytes and takes the bare address.
func (s *schema) address(to *string) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.String {
		return s.mismatch("a string")
	}
	b, ok, err := s.bounded(MaxAddress)
	if err != nil {
		return err
	}
	if !ok {
		s.tooLong()
		return nil
	}
	*to = parseAddress(string(b)).Address
	return nil
}

func (s *schema) tooLong() { s.wrong("must be at most %s bytes", thousands(MaxAddress)) }

// record reads an object, list an array; null is none. What else stands there is
// passed over.
func (s *schema) record(member func(name string) error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.Object {
		return s.mismatch("an object")
	}
	return s.object(member)
}

func (s *schema) list(limit int, element func() error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.Array {
		return s.mismatch("an array")
	}
	return s.array(limit, element)
}

// problem notes what cannot be read in the value at hand.
func (s *schema) problem(detail string) {
	s.problems = append(s.problems, mail.Problem{Field: s.where(false), Detail: detail})
}

// time reads RFC 3339 text or a number of seconds or milliseconds since 1970. Text
// that is no time is a problem, not an error.
func (s *schema) time(to *time.Time) error {
	switch s.d.Next() {
	case jx.Null:
		_, err := s.null()
		return err
	case jx.Number:
		num, ok, err := s.number()
		if err != nil || !ok {
			return err
		}
		t, ok := unixTime(num)
		if !ok {
			s.wrong("must be a time in seconds or milliseconds since 1970, before the year 10000")
		}
		*to = t
		return nil
	case jx.String:
		var text string
		if err := s.string(&text); err != nil || !s.keep {
			return err
		}
		t, ok := parseTime(strings.TrimSpace(text))
		if !ok {
			s.problem("is no time of RFC 3339")
		}
		*to = t
		return nil
	default:
		return s.mismatch("a string or a number")
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

// size reads a whole number from 0 to MaxSize, however it is written.
func (s *schema) size(to *int64) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.Number {
		return s.mismatch("a number")
	}
	num, ok, err := s.number()
	if err != nil || !ok {
		return err
	}
	n, ok := wholeNumber(num)
	if !ok {
		s.wrong("must be a whole number from 0 to %d", int64(MaxSize))
		return nil
	}
	*to = n
	return nil
}

// wholeNumber gives the exact value of a JSON number from 0 to MaxSize. It goes by
// the digits: a float64 would take 1e-400 for 0.
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

// negative reports whether a JSON number is below zero, however near to it.
func negative(num string) bool {
	digits, _ := decimal(num)
	return digits != "" && num[0] == '-'
}

// decimal gives the digits of a JSON number without zeros at either end, and how
// many of them stand before its decimal point, less than none or more than all
// included. Digits are empty for zero.
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
		exponent, _ := strconv.ParseInt(power, 10, 32) // at its bound where it is beyond
		point += int(exponent)
	}
	return strings.TrimRight(digits, "0"), point
}

// base64 reads and decodes content; what does not decode is a problem and no
// content. Content that is there is never nil.
func (s *schema) base64(to *[]byte) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.String {
		return s.mismatch("a string")
	}
	if !s.keep {
		return s.skip()
	}

	raw, err := s.d.Raw()
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
		s.problem("is not base64")
	case *to != nil:
		s.problem("is given twice")
	default:
		*to = content
	}

	return nil
}

// decodeBase64 takes the standard alphabet or the one for URLs (RFC 4648 §4, §5),
// not both at once, with or without padding; line breaks may stand anywhere.
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

// parseAddress takes "Name <address>" apart; anything else is an address.
func parseAddress(text string) mail.Address {
	text = strings.TrimSpace(clean(text))
	open := strings.LastIndexByte(text, '<')
	if open < 0 {
		return mail.Address{Address: text}
	}
	if a, err := netmail.ParseAddress(text); err == nil {
		return mail.Address{Name: clean(a.Name), Address: clean(a.Address)}
	}
	address, _, _ := strings.Cut(text[open+1:], ">")
	return mail.Address{Name: strings.Trim(text[:open], "\" \t"), Address: strings.TrimSpace(address)}
}

// fromHeaders fills what the provider left to the header fields.
func fromHeaders(m *mail.Message) {
	for _, h := range m.Headers {
		switch strings.ToLower(h.Name) {
		case "message-id":
			if m.MessageID == "" {
				m.MessageID = bracketed(h.Value)
			}
		case "date":
			if t, err := netmail.ParseDate(h.Value); err == nil && m.Date.IsZero() && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
				m.Date = t.UTC()
			}
		case "reply-to":
			list, err := netmail.ParseAddressList(h.Value)
			if err != nil {
				continue
			}
			for _, a := range list {
				m.ReplyTo = append(m.ReplyTo, mail.Address{Name: clean(a.Name), Address: clean(a.Address)})
			}
		}
	}
}

// clean replaces NUL, which Postgres text refuses. Lone surrogates are U+FFFD
// already when they come from the tokenizer.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
