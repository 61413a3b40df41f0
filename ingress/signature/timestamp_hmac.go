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
	maxSignatureHeader = 2048 // bytes
)

// TimestampHMAC is the scheme of X-Webhook-Timestamp and X-Webhook-Signature.
//
// The signature header lists one or more candidates, separated by commas or
// spaces: hex in any case, alone or after "v1=" or "sha256=". A candidate of another
// version or form is skipped. Several signature lines are one list (RFC 9110 section
// 5.3); a list of more than 16 candidates or 2,048 bytes is refused as a whole. There
// must be exactly one timestamp line: with two, the signed one and the one that is
// checked could differ.
type TimestampHMAC struct{ timestamped }

var _ Scheme = (*TimestampHMAC)(nil)

// NewTimestampHMAC returns the scheme for the keys of one source. A timestamp may be up to
// tolerance in the past or future. versions are those that are accepted; none stands for
// all. No key, or an empty one, is an error: with it any sender could sign.
func NewTimestampHMAC(keys []Key, tolerance time.Duration, versions ...string) (*TimestampHMAC, error) {
	common, err := newTimestamped(TimestampHMACName, keys, tolerance, versions)
	if err != nil {
		return nil, err
	}
	return &TimestampHMAC{common}, nil
}

// Name returns TimestampHMACName.
func (s *TimestampHMAC) Name() string { return TimestampHMACName }

// Present reports whether h has either header, even an empty one.
func (s *TimestampHMAC) Present(h http.Header) bool {
	return len(h.Values(signing.SignatureHeader)) > 0 || len(h.Values(signing.TimestampHeader)) > 0
}

// Begin refuses missing, malformed and stale headers, and starts one MAC per key that has
// not expired at now.
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
		return nil, fault.New(fault.TimestampInvalid, "the header X-Webhook-Timestamp must appear exactly once")
	}
	return s.begin(stamps[0], parseSignatures(lines, s.versions), now)
}

// timestamped is the common part of the schemes that sign the text of a timestamp, a full
// stop and the body.
type timestamped struct {
	keys      []Key
	tolerance time.Duration
	versions  versions
}

// newTimestamped checks the configuration that these schemes share.
func newTimestamped(scheme string, keys []Key, tolerance time.Duration, listed []string) (timestamped, error) {
	if err := checkKeys(scheme, keys, isPlainText); err != nil {
		return timestamped{}, err
	}
	if err := checkTolerance(scheme, tolerance); err != nil {
		return timestamped{}, err
	}
	allowed, err := restrictVersions(scheme, listed)
	if err != nil {
		return timestamped{}, err
	}
	return timestamped{keys: append([]Key(nil), keys...), tolerance: tolerance, versions: allowed}, nil
}

// begin checks the values found in the headers, the timestamp first, and starts one MAC
// per live key.
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
			"the signature header contains no HMAC-SHA256 in hex of an accepted version")
	}

	v := &macVerifier{candidates: candidates}
	for _, k := range live(s.keys, now, isPlainText) {
		v.addKey(k.number, signing.NewTimestampHMAC(k.text, stamp))
	}
	return v, nil
}

// parseSignatures returns the candidates of all signature lines, none if the list exceeds
// its bounds.
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

// isSeparator reports whether r separates the candidates of a list.
func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

// parseSignature parses one candidate, and reports whether it is an HMAC-SHA256 of an
// accepted version. The text before an equals sign is the version; hex has no equals
// sign, so an unknown prefix is never taken for hex.
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
