package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

// TimestampHMACName is the name of the scheme in the configuration.
const TimestampHMACName = "timestamp-hmac"

// Bounds of a list of signatures.
const (
	maxSignatures      = 16
	maxSignatureHeader = 2048
)

// TimestampHMAC is the scheme of X-Webhook-Timestamp and X-Webhook-Signature.
//
// The signature header lists one or more candidates, separated by commas or
// spaces: hex in either case, alone or after "v1=" or "sha256=". A candidate of
// another version or form is skipped. Several signature lines are read as one list
// (RFC 9110 §5.3); a list of more than 16 candidates or 2,048 bytes is refused as
// a whole. There must be exactly one timestamp line: with two, the signed one and
// the one that is checked could differ.
type TimestampHMAC struct{ timestamped }

var _ Scheme = (*TimestampHMAC)(nil)

// NewTimestampHMAC makes the scheme for the keys of one source. The tolerance
// holds both ways; versions are those that count, all when there are none. No
// key, or an empty one, is an error: an empty HMAC key would let anybody sign.
func NewTimestampHMAC(keys []Key, tolerance time.Duration, versions ...string) (*TimestampHMAC, error) {
	common, err := newTimestamped(TimestampHMACName, keys, tolerance, versions)
	if err != nil {
		return nil, err
	}
	return &TimestampHMAC{common}, nil
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
	return s.begin(stamps[0], parseSignatures(lines, s.versions), now)
}

// timestamped is what the schemes have in common that sign a timestamp's text, a
// full stop and the body.
type timestamped struct {
	keys      []Key
	tolerance time.Duration
	versions  versions
}

func newTimestamped(scheme string, keys []Key, tolerance time.Duration, listed []string) (timestamped, error) {
	if err := checkKeys(scheme, keys, isPlainText); err != nil {
		return timestamped{}, err
	}
	if err := checkTolerance(scheme, tolerance); err != nil {
		return timestamped{}, err
	}
	allowed, err := allow(scheme, listed)
	if err != nil {
		return timestamped{}, err
	}
	return timestamped{keys: append([]Key(nil), keys...), tolerance: tolerance, versions: allowed}, nil
}

// begin judges what was found in the headers, the timestamp first.
func (s *timestamped) begin(stamp string, candidates [][sha256.Size]byte, now time.Time) (Verifier, error) {
	sent, ok := parseTimestamp(stamp)
	if !ok {
		return nil, fault.New(fault.TimestampInvalid,
			"the timestamp must be Unix seconds or milliseconds in plain decimal digits")
	}
	if err := fresh(now, sent, s.tolerance); err != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		return nil, fault.New(fault.SignatureInvalid,
			"the signature header holds no HMAC-SHA256 in hex of a version that counts here")
	}
	v := &macVerifier{candidates: candidates}
	for _, k := range live(s.keys, now, isPlainText) {
		v.add(k.number, signing.NewTimestampHMAC(k.text, stamp))
	}
	return v, nil
}

// parseSignatures gives the candidates of all signature lines; none when the list
// is over its bounds.
func parseSignatures(lines []string, allowed versions) [][sha256.Size]byte {
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
			if sum, ok := parseSignature(field, allowed); ok {
				out = append(out, sum)
			}
		}
	}
	return out
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

// parseSignature reads one candidate. The prefix tells the version, and hex has no
// equals sign, so that an unknown prefix can never pass as hex.
func parseSignature(field string, allowed versions) (sum [sha256.Size]byte, ok bool) {
	version := versionPlain
	if prefix, rest, found := strings.Cut(field, "="); found {
		if version = strings.ToLower(prefix); version == versionPlain {
			return sum, false
		}
		field = rest
	}
	if !allowed.has(version) || len(field) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	if _, err := hex.Decode(sum[:], []byte(field)); err != nil {
		return [sha256.Size]byte{}, false
	}
	return sum, true
}
