package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"

	"mailroom/shared/fault"
)

// macVerifier computes one HMAC-SHA256 per key while the body is written. If all keys of
// a source have expired there is none, and nothing matches.
type macVerifier struct {
	candidates [][sha256.Size]byte
	numbers    []int
	macs       []hash.Hash
}

// addKey adds the running MAC of the key with number.
func (v *macVerifier) addKey(number int, mac hash.Hash) {
	v.numbers = append(v.numbers, number)
	v.macs = append(v.macs, mac)
}

// Write adds a piece of the body. It never fails.
func (v *macVerifier) Write(p []byte) (int, error) {
	for _, m := range v.macs {
		m.Write(p)
	}
	return len(p), nil
}

// Verify returns the number of the first key that matches, or a fault of code
// signature_invalid.
func (v *macVerifier) Verify() (int, error) { return verdict(v.match()) }

// match returns the number of the first key that matches a candidate, 0 if none does. It
// compares every candidate with every key, so its duration does not depend on the result.
func (v *macVerifier) match() int {
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
	return number
}

// verdict returns number, or a fault of code signature_invalid if number is 0.
func verdict(number int) (int, error) {
	if number == 0 {
		return 0, fault.New(fault.SignatureInvalid, "no configured secret produces this signature for this body and timestamp; check the secret, and sign the exact bytes that are sent")
	}
	return number, nil
}
