package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

// TimestampHMACName is the name of the scheme in the configuration.
const TimestampHMACName = "timestamp-hmac"

// Bounds of the headers.
const (
	maxSignatures      = 16
	maxSignatureHeader = 2048
	maxTimestampDigits = 16
	// Below this a timestamp counts seconds, from it on milliseconds: the year
	// 5138 for one, March 1973 for the other.
	millisecondsFrom = 100_000_000_000
)

// TimestampHMAC is the scheme of X-Webhook-Timestamp and X-Webhook-Signature.
//
// The signature header lists one or more candidates, separated by commas or
// spaces: hex in either case, alone or after "v1=" or "sha256=". A candidate of
// another version or form is skipped. Several signature lines are read as one list
// (RFC 9110 §5.3); a list of more than 16 candidates or 2,048 bytes is refused as
// a whole. There must be exactly one timestamp line: with two, the signed one and
// the one that is checked could differ.
type TimestampHMAC struct {
	keys      []Key
	tolerance time.Duration
}

var _ Scheme = (*TimestampHMAC)(nil)

// NewTimestampHMAC makes the scheme for the keys of one source. The tolerance
// holds both ways. No key, or an empty one, is an error: an empty HMAC key would
// let anybody sign.
func NewTimestampHMAC(keys []Key, tolerance time.Duration) (*TimestampHMAC, error) {
	if len(keys) == 0 {
		return nil, errors.New("timestamp-hmac: no secret serves this scheme")
	}
	for _, k := range keys {
		if k.Secret.Reveal() == "" {
			return nil, fmt.Errorf("timestamp-hmac: secret %d is empty", k.Number)
		}
	}
	if tolerance <= 0 {
		return nil, fmt.Errorf("timestamp-hmac: tolerance %s is not positive", tolerance)
	}
	return &TimestampHMAC{keys: append([]Key(nil), keys...), tolerance: tolerance}, nil
}

// Name gives TimestampHMACName.
func (s *TimestampHMAC) Name() string { return TimestampHMACName }

// Present reports whether h has either header, even an empty one.
func (s *TimestampHMAC) Present(h http.Header) bool {
	return len(h.Values(signing.SignatureHeader)) > 0 || len(h.Values(signing.TimestampHeader)) > 0
}

// Begin refuses missing, unreadable and stale headers, and starts one MAC per key
// that has not expired at now.
func (s *TimestampHMAC) Begin(h http.Header, now time.Time) (Verifier, error) {
	lines := h.Values(signing.SignatureHeader)
	if len(lines) == 0 {
		return nil, fault.New(fault.SignatureMissing, "the header X-Webhook-Signature is missing")
	}
	stamps := h.Values(signing.TimestampHeader)
	if len(stamps) == 0 {
		return nil, fault.New(fault.TimestampMissing, "the header X-Webhook-Timestamp is missing")
	}
	if len(stamps) > 1 {
		return nil, fault.New(fault.TimestampInvalid, "the header X-Webhook-Timestamp must stand exactly once")
	}
	sent, ok := parseTimestamp(stamps[0])
	if !ok {
		return nil, fault.New(fault.TimestampInvalid,
			"the header X-Webhook-Timestamp must be Unix seconds or milliseconds in plain decimal digits")
	}
	if !within(now.UnixMilli(), sent, s.tolerance.Milliseconds()) {
		return nil, fault.Newf(fault.TimestampStale,
			"the timestamp is more than %s away from the time here", s.tolerance)
	}
	candidates := parseSignatures(lines)
	if len(candidates) == 0 {
		return nil, fault.New(fault.SignatureInvalid,
			"the header X-Webhook-Signature holds no HMAC-SHA256 in hex")
	}
	v := &timestampVerifier{candidates: candidates}
	for _, k := range s.keys {
		if k.Expires.IsZero() || now.Before(k.Expires) {
			v.numbers = append(v.numbers, k.Number)
			v.macs = append(v.macs, signing.NewTimestampHMAC(k.Secret.Reveal(), stamps[0]))
		}
	}
	return v, nil
}

// parseTimestamp reads strict decimal (no sign, exponent, space or point) and
// gives Unix milliseconds.
func parseTimestamp(text string) (milliseconds int64, ok bool) {
	if len(text) == 0 || len(text) > maxTimestampDigits {
		return 0, false
	}
	var n int64
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = n*10 + int64(digit)
	}
	if n < millisecondsFrom {
		n *= 1000
	}
	return n, true
}

// within compares without a subtraction that could overflow: all three are far
// below 2^62 by construction.
func within(now, sent, tolerance int64) bool {
	return sent >= now-tolerance && sent <= now+tolerance
}

// parseSignatures gives the candidates of all signature lines; none when the list
// is over its bounds.
func parseSignatures(lines []string) [][sha256.Size]byte {
	length := 0
	for _, line := range lines {
		length += len(line) + 1
	}
	if length > maxSignatureHeader {
		return nil
	}
	var out [][sha256.Size]byte
	seen := 0
	for _, line := range lines {
		for _, field := range strings.FieldsFunc(line, isSeparator) {
			if seen++; seen > maxSignatures {
				return nil
			}
			if sum, ok := parseSignature(field); ok {
				out = append(out, sum)
			}
		}
	}
	return out
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

// parseSignature reads one candidate. The prefix tells the version, and hex has no
// equals sign, so that an unknown prefix can never pass as hex.
func parseSignature(field string) (sum [sha256.Size]byte, ok bool) {
	if prefix, rest, found := strings.Cut(field, "="); found {
		if !strings.EqualFold(prefix, "v1") && !strings.EqualFold(prefix, "sha256") {
			return sum, false
		}
		field = rest
	}
	if len(field) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	if _, err := hex.Decode(sum[:], []byte(field)); err != nil {
		return [sha256.Size]byte{}, false
	}
	return sum, true
}

// timestampVerifier holds one running MAC per key. A source whose keys have all
// expired has none, and nothing matches.
type timestampVerifier struct {
	candidates [][sha256.Size]byte
	numbers    []int
	macs       []hash.Hash
}

func (v *timestampVerifier) Write(p []byte) (int, error) {
	for _, m := range v.macs {
		m.Write(p)
	}
	return len(p), nil
}

// Verify compares every candidate with every key, so that the time it takes does
// not depend on which of them matches.
func (v *timestampVerifier) Verify() (int, error) {
	number := 0
	var sum [sha256.Size]byte
	for i, m := range v.macs {
		m.Sum(sum[:0])
		for j := range v.candidates {
			if hmac.Equal(sum[:], v.candidates[j][:]) && number == 0 {
				number = v.numbers[i]
			}
		}
	}
	if number == 0 {
		return 0, fault.New(fault.SignatureInvalid, "no configured secret gives this signature for this body and timestamp")
	}
	return number, nil
}
