package signature

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/fault"
)

// TimestampHMACHeaderName is the name of the scheme in the configuration.
const TimestampHMACHeaderName = "timestamp-hmac-header"

// TimestampHMACHeader is timestamp-hmac in one header, t=<timestamp>,v1=<hex>, with
// v1 once per signature: the same timestamp, the same MAC, over the text of t.
//
// The fields may be in any order, separated by commas or spaces, with names in any case.
// A field with another name, or without one, is skipped. The header must appear exactly
// once and contain t exactly once: with two, the signed one and the one that is checked
// could differ. A header of more than 16 fields besides t, or of more than 2,048 bytes,
// is refused as a whole.
type TimestampHMACHeader struct {
	timestamped
	header string // in canonical form
}

var _ Scheme = (*TimestampHMACHeader)(nil)

// NewTimestampHMACHeader returns the scheme for the keys of one source and the name of its
// header, which must not be empty. The other arguments and errors are those of
// NewTimestampHMAC.
func NewTimestampHMACHeader(header string, keys []Key, tolerance time.Duration, versions ...string) (*TimestampHMACHeader, error) {
	if header == "" {
		return nil, errors.New("timestamp-hmac-header: the name of the header is not set")
	}
	common, err := newTimestamped(TimestampHMACHeaderName, keys, tolerance, versions)
	if err != nil {
		return nil, err
	}
	return &TimestampHMACHeader{timestamped: common, header: http.CanonicalHeaderKey(header)}, nil
}

// Name returns TimestampHMACHeaderName.
func (s *TimestampHMACHeader) Name() string { return TimestampHMACHeaderName }

// Present reports whether h has the header, even an empty one.
func (s *TimestampHMACHeader) Present(h http.Header) bool { return len(h[s.header]) > 0 }

// Begin refuses a missing, malformed or stale header, and starts one MAC per key that has
// not expired at now.
func (s *TimestampHMACHeader) Begin(h http.Header, now time.Time) (Verifier, error) {
	lines := h[s.header]
	if len(lines) == 0 {
		return nil, fault.Newf(fault.SignatureMissing, "the header %s is missing", s.header)
	}
	if len(lines) > 1 {
		return nil, fault.Newf(fault.SignatureInvalid, "the header %s must appear exactly once", s.header)
	}

	stamps, candidates, ok := parseSignatureFields(lines[0], s.versions)
	switch {
	case !ok:
		return nil, fault.Newf(fault.SignatureInvalid, "the header %s has too many fields or bytes", s.header)
	case len(stamps) == 0:
		return nil, fault.Newf(fault.TimestampMissing, "the header %s contains no field t", s.header)
	case len(stamps) > 1:
		return nil, fault.Newf(fault.TimestampInvalid, "the header %s must contain t exactly once", s.header)
	}
	return s.begin(stamps[0], candidates, now)
}

// parseSignatureFields returns every t and the candidates; ok is false if the line exceeds
// its bounds.
func parseSignatureFields(line string, allowed versions) (stamps []string, candidates [][sha256.Size]byte, ok bool) {
	if len(line) > maxSignatureHeader {
		return nil, nil, false
	}

	others := 0
	for _, field := range strings.FieldsFunc(line, isSeparator) {
		if name, value, named := strings.Cut(field, "="); named && strings.EqualFold(name, "t") {
			stamps = append(stamps, value)
			continue
		}
		if others++; others > maxSignatures {
			return nil, nil, false
		}
		if sum, readable := parseSignature(field, allowed); readable {
			candidates = append(candidates, sum)
		}
	}
	return stamps, candidates, true
}
