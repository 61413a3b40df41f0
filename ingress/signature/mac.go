package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"

	"mailroom/shared/fault"
)

// macVerifier holds one running HMAC-SHA256 per key. A source whose keys have all
// expired has none, and nothing matches.
type macVerifier struct {
	candidates [][sha256.Size]byte
	numbers    []int
	macs       []hash.Hash
}

func (v *macVerifier) add(number int, mac hash.Hash) {
	v.numbers = append(v.numbers, number)
	v.macs = append(v.macs, mac)
}

func (v *macVerifier) Write(p []byte) (int, error) {
	for _, m := range v.macs {
		m.Write(p)
	}
	return len(p), nil
}

// Verify gives the number of the first key that matches.
func (v *macVerifier) Verify() (int, error) { return verdict(v.match()) }

// match compares every candidate with every key, so that the time it takes does
// not depend on which of them matches. It gives 0 when none does.
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

// verdict is what Verify answers for the number of the key that matched, 0 for none.
func verdict(number int) (int, error) {
	if number == 0 {
		return 0, fault.New(fault.SignatureInvalid, "no configured secret gives this signature for this body and timestamp")
	}
	return number, nil
}
