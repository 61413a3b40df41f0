package signature

import (
	"crypto/sha256"
	"hash"
	"testing"

	"github.com/stretchr/testify/require"
)

// counted is a hash that counts the calls of Sum.
type counted struct {
	hash.Hash
	sums int
}

func (c *counted) Sum(b []byte) []byte {
	c.sums++
	return c.Hash.Sum(b)
}

// TestEveryMACIsComputedWhateverMatches checks that each key costs one MAC, whether and whichever key matches.
func TestEveryMACIsComputedWhateverMatches(t *testing.T) {
	t.Parallel()
	for want := range 4 { // 0: none matches
		v := &macVerifier{}
		var all []*counted
		for number := 1; number <= 3; number++ {
			mac := &counted{Hash: sha256.New()}
			mac.Write([]byte{byte(number)})
			all = append(all, mac)
			v.addKey(number, mac)
		}
		v.candidates = append(v.candidates, sha256.Sum256([]byte{byte(want)}), sha256.Sum256([]byte("other")))
		require.Equal(t, want, v.match())
		for _, mac := range all {
			require.Equal(t, 1, mac.sums)
		}
	}
}

// TestTheFirstKeyThatMatchesIsNamed configures the same secret twice.
func TestTheFirstKeyThatMatchesIsNamed(t *testing.T) {
	t.Parallel()
	for name, p := range parties {
		s := p.scheme(t, Key{Number: 4, Secret: p.secret("a")}, Key{Number: 9, Secret: p.secret("a")})
		number, err := check(s, p.sign(p.key("a"), body), body)
		require.NoError(t, err, name)
		require.Equal(t, 4, number, name)
	}
}
