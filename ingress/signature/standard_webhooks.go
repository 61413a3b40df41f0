package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/fault"
)

// StandardWebhooksName is the name of the scheme in the configuration.
const StandardWebhooksName = "standard-webhooks"

// Headers of Standard Webhooks, in canonical form.
const (
	webhookIDHeader        = "Webhook-Id"
	webhookTimestampHeader = "Webhook-Timestamp"
	webhookSignatureHeader = "Webhook-Signature"
)

// Bounds of Standard Webhooks.
const (
	maxWebhookID  = 256 // bytes
	minWebhookKey = 24  // bytes, decoded
	maxWebhookKey = 64  // bytes, decoded
	// maxEd25519Pairs bounds v1a signatures times public keys: each pair costs one hash
	// of the body.
	maxEd25519Pairs = 8
)

// StandardWebhooks is the scheme of Webhook-Id, Webhook-Timestamp and
// Webhook-Signature (Standard Webhooks, "Webhook scheme"). The signed text is
// id.timestamp.body; the signature header lists v1,<base64> (HMAC-SHA256) and
// v1a,<base64> (Ed25519), separated by spaces. Signatures of other versions or forms
// are skipped.
//
// Each header must appear exactly once. The id is 1 to 256 bytes without a full stop, so
// that the signed text has one reading; the timestamp is in seconds. A list of more than
// 16 signatures or 2,048 bytes, or with more than 8 pairs of a v1a signature and a public
// key, is refused as a whole.
//
// A key of whsec_ and base64 is an HMAC key of 24 to 64 bytes; one of whpk_ and base64 is
// an Ed25519 public key. Without a prefix the text itself is the HMAC key, and if it is
// base64 of 24 to 64 bytes, those bytes are a second one.
type StandardWebhooks struct {
	keys      []Key
	tolerance time.Duration
	versions  versions
}

var _ Scheme = (*StandardWebhooks)(nil)

// NewStandardWebhooks returns the scheme for the keys of one source. A timestamp may be
// up to tolerance in the past or future. versions are those that are accepted; none
// stands for all. It returns an error without keys, for a key in the wrong form, and if
// no key can verify an accepted version.
func NewStandardWebhooks(keys []Key, tolerance time.Duration, versions ...string) (*StandardWebhooks, error) {
	serves := map[string]bool{}
	err := checkKeys(StandardWebhooksName, keys, func(text string) error {
		k, err := readWebhookKey(text)
		serves[k.version()] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := checkTolerance(StandardWebhooksName, tolerance); err != nil {
		return nil, err
	}

	allowed, err := restrictVersions(StandardWebhooksName, versions)
	if err != nil {
		return nil, err
	}
	for _, version := range allowed {
		if serves[version] {
			return &StandardWebhooks{keys: append([]Key(nil), keys...), tolerance: tolerance, versions: allowed}, nil
		}
	}
	return nil, fmt.Errorf("%s: no configured secret can verify the signature versions %s", StandardWebhooksName, strings.Join(allowed, ", "))
}

// Name returns StandardWebhooksName.
func (s *StandardWebhooks) Name() string { return StandardWebhooksName }

// Present reports whether h has any of the three headers, even an empty one.
func (s *StandardWebhooks) Present(h http.Header) bool {
	return len(h[webhookIDHeader]) > 0 || len(h[webhookTimestampHeader]) > 0 || len(h[webhookSignatureHeader]) > 0
}

// Begin refuses missing, malformed and stale headers. Else it starts one MAC per HMAC key
// and one hash per pair of a v1a signature and a public key, for the keys that have not
// expired at now.
func (s *StandardWebhooks) Begin(h http.Header, now time.Time) (Verifier, error) {
	id, stamp, err := s.readHeaders(h, now)
	if err != nil {
		return nil, err
	}

	macs, pairs := parseWebhookSignatures(h[webhookSignatureHeader][0], s.versions)
	if len(macs) == 0 && len(pairs) == 0 {
		return nil, fault.New(fault.SignatureInvalid,
			"the header Webhook-Signature contains no signature of an accepted version")
	}

	v := &webhookVerifier{}
	v.candidates = macs
	for _, k := range live(s.keys, now, isAnything) {
		if key, err := readWebhookKey(k.text); err == nil {
			v.startKey(k.number, key, pairs)
		}
	}

	if len(v.pairs) > maxEd25519Pairs {
		return nil, fault.New(fault.SignatureInvalid, "the header Webhook-Signature contains too many v1a signatures")
	}

	_, _ = io.WriteString(v, id+"."+stamp+".") // never fails
	return v, nil
}

// readHeaders returns the id and the text of the timestamp. It returns a fault unless all
// three headers appear once, in the right form, with a fresh timestamp.
func (s *StandardWebhooks) readHeaders(h http.Header, now time.Time) (id, stamp string, err error) {
	ids, stamps, signatures := h[webhookIDHeader], h[webhookTimestampHeader], h[webhookSignatureHeader]
	switch {
	case len(signatures) == 0:
		return "", "", fault.New(fault.SignatureMissing, "the header Webhook-Signature is missing")
	case len(ids) == 0:
		return "", "", fault.New(fault.SignatureMissing, "the header Webhook-Id is missing")
	case len(stamps) == 0:
		return "", "", fault.New(fault.TimestampMissing, "the header Webhook-Timestamp is missing")
	case len(stamps) > 1:
		return "", "", fault.New(fault.TimestampInvalid, "the header Webhook-Timestamp must appear exactly once")
	case len(signatures) > 1:
		return "", "", fault.New(fault.SignatureInvalid, "the header Webhook-Signature must appear exactly once")
	case len(ids) > 1:
		return "", "", fault.New(fault.SignatureInvalid, "the header Webhook-Id must appear exactly once")
	}

	id, stamp = ids[0], stamps[0]
	if id == "" || len(id) > maxWebhookID || strings.Contains(id, ".") {
		return "", "", fault.Newf(fault.SignatureInvalid,
			"the header Webhook-Id must be 1 to %d bytes without a full stop", maxWebhookID)
	}

	sent, ok := parseSeconds(stamp)
	if !ok {
		return "", "", fault.New(fault.TimestampInvalid,
			"the header Webhook-Timestamp must be Unix seconds in plain decimal digits")
	}
	return id, stamp, fresh(now, sent, s.tolerance)
}

// parseWebhookSignatures returns the candidates of both versions, none if the list exceeds
// its bounds. Base64 is decoded strictly, so that a signature has one text.
func parseWebhookSignatures(line string, allowed versions) (macs [][sha256.Size]byte, pairs [][ed25519.SignatureSize]byte) {
	if len(line) > maxSignatureHeader {
		return nil, nil
	}

	seen := 0
	for field := range strings.SplitSeq(line, " ") {
		if field == "" {
			continue
		}
		if seen++; seen > maxSignatures {
			return nil, nil
		}

		version, text, found := strings.Cut(field, ",")
		if !found || !allowed.has(version) {
			continue
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(text) != base64.StdEncoding.EncodedLen(len(raw)) {
			continue
		}

		switch {
		case version == versionV1 && len(raw) == sha256.Size:
			macs = append(macs, [sha256.Size]byte(raw))
		case version == versionV1a && len(raw) == ed25519.SignatureSize:
			pairs = append(pairs, [ed25519.SignatureSize]byte(raw))
		}
	}
	return macs, pairs
}

// webhookKey is the parsed text of one key: a public key, or one or two HMAC keys.
type webhookKey struct {
	symmetric [][]byte
	public    *publicKey
}

// version returns the version of signatures that the key verifies.
func (k webhookKey) version() string {
	if k.public != nil {
		return versionV1a
	}
	return versionV1
}

// readWebhookKey parses the text of a key. Its errors do not contain the text.
func readWebhookKey(text string) (webhookKey, error) {
	if encoded, found := strings.CutPrefix(text, publicPrefix); found {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return webhookKey{}, errors.New("is not base64 after whpk_")
		}
		public, err := decodePublicKey(raw)
		if err != nil {
			return webhookKey{}, fmt.Errorf("is no Ed25519 public key: after whpk_ it %w", err)
		}
		if public.isSmall() {
			return webhookKey{}, errors.New("is a public key of small order, for which any sender can sign")
		}
		return webhookKey{public: public}, nil
	}

	encoded, prefixed := strings.CutPrefix(text, symmetricPrefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	decodes := err == nil && len(raw) >= minWebhookKey && len(raw) <= maxWebhookKey

	switch {
	case prefixed && !decodes:
		return webhookKey{}, fmt.Errorf("must be base64 of %d to %d bytes after whsec_", minWebhookKey, maxWebhookKey)
	case prefixed:
		return webhookKey{symmetric: [][]byte{raw}}, nil
	case text == "":
		return webhookKey{}, errors.New("is empty")
	case decodes:
		return webhookKey{symmetric: [][]byte{[]byte(text), raw}}, nil
	}
	return webhookKey{symmetric: [][]byte{[]byte(text)}}, nil
}

// webhookVerifier computes a MAC per HMAC key, and a hash per pair of a v1a signature and
// a public key, while the body is written.
type webhookVerifier struct {
	macVerifier
	pairs       []*ed25519Verifier
	pairNumbers []int
}

// startKey starts the MACs and hashes of one key that the request's signatures need.
func (v *webhookVerifier) startKey(number int, key webhookKey, signatures [][ed25519.SignatureSize]byte) {
	if len(v.candidates) > 0 {
		for _, symmetric := range key.symmetric {
			v.addKey(number, hmac.New(sha256.New, symmetric))
		}
	}
	if key.public == nil {
		return
	}
	for i := range signatures {
		if pair, ok := newEd25519Verifier(key.public, &signatures[i]); ok {
			v.pairs = append(v.pairs, pair)
			v.pairNumbers = append(v.pairNumbers, number)
		}
	}
}

// Write adds a piece of the body. It never fails.
func (v *webhookVerifier) Write(p []byte) (int, error) {
	for _, pair := range v.pairs {
		_, _ = pair.Write(p) // never fails
	}
	return v.macVerifier.Write(p)
}

// Verify returns the number of the first key that matches, HMAC keys first, or a fault of
// code signature_invalid.
func (v *webhookVerifier) Verify() (int, error) {
	number := v.match()
	for i, pair := range v.pairs {
		if pair.valid() && number == 0 {
			number = v.pairNumbers[i]
		}
	}
	return verdict(number)
}
