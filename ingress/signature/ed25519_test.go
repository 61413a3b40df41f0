package signature

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"github.com/stretchr/testify/require"
)

// privates maps the text of each public key of the tests to its private key.
var privates = func() map[string]ed25519.PrivateKey {
	out := map[string]ed25519.PrivateKey{}
	for _, name := range []string{
		"a", "x", "first", "second", "new", "old", "gone", "long-gone", "last", "stranger",
		"ne", "neww", "New", "wrong", "unrelated",
	} {
		out[publicText(privateKey(name))] = privateKey(name)
	}
	return out
}()

// privateKey returns the same key for the same name.
func privateKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicText(private ed25519.PrivateKey) string {
	public, _ := private.Public().(ed25519.PublicKey)
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// privateOf returns the private key of a public key's text, nil for any other text.
func privateOf(text string) ed25519.PrivateKey { return privates[text] }

func signV1a(private ed25519.PrivateKey, prefix string, body []byte) string {
	return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, append([]byte(prefix), body...)))
}

// smallOrderHex are the points of order 1, 2, 4 and 8, and the encodings of the
// same points that are not canonical.
var smallOrderHex = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

var smallOrder = func() []string {
	var out []string
	for _, text := range smallOrderHex {
		out = append(out, base64.StdEncoding.EncodeToString(unhex(text)))
	}
	return out
}()

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

// streamed verifies with the code under test, writing the message in pieces.
func streamed(public, message, signature []byte) bool {
	key, err := decodePublicKey(public)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return false
	}
	v, ok := newEd25519Verifier(key, (*[ed25519.SignatureSize]byte)(signature))
	if !ok {
		return false
	}
	for len(message) > 0 {
		n := min(13, len(message))
		_, _ = v.Write(message[:n])
		message = message[n:]
	}
	return v.valid()
}

// requireAgreement compares the code under test with the standard library's.
func requireAgreement(t *testing.T, public, message, signature []byte) bool {
	t.Helper()
	want := len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message, signature)
	require.Equal(t, want, streamed(public, message, signature), "key %x, message %x, signature %x", public, message, signature)
	return want
}

// groupOrder is L of RFC 8032 section 5.1.
var groupOrder, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// addOrder returns the little-endian scalar plus times L.
func addOrder(scalar []byte, times int64) []byte {
	big32 := slices.Clone(scalar)
	slices.Reverse(big32)
	n := new(big.Int).SetBytes(big32)
	n.Add(n, new(big.Int).Mul(groupOrder, big.NewInt(times)))
	out := make([]byte, 40)
	n.FillBytes(out)
	slices.Reverse(out)
	return out[:32]
}

func TestStreamedEd25519AgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for round := range 60 {
		seed := make([]byte, 32)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		private := ed25519.NewKeyFromSeed(seed)
		public, _ := private.Public().(ed25519.PublicKey)
		message := make([]byte, random.IntN(300))
		for i := range message {
			message[i] = byte(random.Uint32())
		}
		good := ed25519.Sign(private, message)
		require.True(t, requireAgreement(t, public, message, good), "round %d", round)
		require.False(t, requireAgreement(t, public, append(message, 0), good))
		for range 12 {
			changed := slices.Clone(good)
			changed[random.IntN(64)] ^= 1 << random.IntN(8)
			require.False(t, requireAgreement(t, public, message, changed))
			other := slices.Clone(public)
			other[random.IntN(32)] ^= 1 << random.IntN(8)
			require.False(t, requireAgreement(t, other, message, good))
		}
		for times := range int64(8) { // S + kL is the same number modulo L
			again := append(slices.Clone(good[:32]), addOrder(good[32:], times)...)
			require.Equal(t, times == 0, requireAgreement(t, public, message, again), "S + %dL", times)
		}
		for _, point := range smallOrderHex {
			requireAgreement(t, public, message, append(unhex(point), good[32:]...))
			requireAgreement(t, public, message, append(unhex(point), make([]byte, 32)...))
			if requireAgreement(t, unhex(point), message, append(unhex(point), make([]byte, 32)...)) {
				accepted++
			}
			if requireAgreement(t, unhex(point), message, forge(good[32:])) {
				accepted++
			}
		}
	}

	require.NotZero(t, accepted, "the library accepts signatures of small-order keys, and so must the comparison have")
	for _, length := range []int{0, 1, 31, 33, 64} {
		requireAgreement(t, make([]byte, length), nil, make([]byte, 64))
	}

	for _, length := range []int{0, 63, 65} {
		requireAgreement(t, make([]byte, 32), nil, make([]byte, length))
	}
}

// forge returns a signature with R = [S]B, which is valid for any message if the key is the identity.
func forge(s []byte) []byte {
	scalar, err := edwards25519.NewScalar().SetCanonicalBytes(s)
	if err != nil {
		panic(err)
	}
	return append(new(edwards25519.Point).ScalarBaseMult(scalar).Bytes(), s...)
}

// TestStreamedEd25519HasNoCofactor uses a signature that only the equation with the
// cofactor accepts: R differs by a point of order 2. ZIP 215 accepts it, the standard
// library does not.
func TestStreamedEd25519HasNoCofactor(t *testing.T) {
	t.Parallel()
	torsion, err := new(edwards25519.Point).SetBytes(unhex(smallOrderHex[1]))
	require.NoError(t, err)
	s, err := edwards25519.NewScalar().SetUniformBytes(make([]byte, 64))
	require.NoError(t, err)
	private := privateKey("a")
	public, _ := private.Public().(ed25519.PublicKey)
	digest := sha512.Sum512(private.Seed())
	secretScalar, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	require.NoError(t, err)
	nonce, err := edwards25519.NewScalar().SetUniformBytes(digest[:])
	require.NoError(t, err)

	r := new(edwards25519.Point).Add(new(edwards25519.Point).ScalarBaseMult(nonce), torsion)
	challenge := sha512.Sum512(slices.Concat(r.Bytes(), public, body))
	k, err := edwards25519.NewScalar().SetUniformBytes(challenge[:])
	require.NoError(t, err)
	s.MultiplyAdd(k, secretScalar, nonce)
	require.False(t, requireAgreement(t, public, body, append(r.Bytes(), s.Bytes()...)))

	// Without the torsion the same construction is a signature.
	r = new(edwards25519.Point).ScalarBaseMult(nonce)
	challenge = sha512.Sum512(slices.Concat(r.Bytes(), public, body))
	k, err = edwards25519.NewScalar().SetUniformBytes(challenge[:])
	require.NoError(t, err)
	s.MultiplyAdd(k, secretScalar, nonce)
	require.True(t, requireAgreement(t, public, body, append(r.Bytes(), s.Bytes()...)))
}

func FuzzEd25519(f *testing.F) {
	for _, name := range []string{"a", "first"} {
		private := privateKey(name)
		public, _ := private.Public().(ed25519.PublicKey)
		f.Add([]byte(public), body, ed25519.Sign(private, body), -1)
		f.Add([]byte(public), body, ed25519.Sign(private, body), 500)
	}

	for _, point := range smallOrderHex {
		f.Add(unhex(point), body, append(unhex(point), make([]byte, 32)...), -1)
		f.Add(unhex(point), body, forge(make([]byte, 32)), -1)
	}

	f.Fuzz(func(t *testing.T, public, message, signature []byte, bit int) {
		requireAgreement(t, public, message, signature)
		// The same with a signature that is good up to one bit, for a key of the input.
		seed := sha256.Sum256(public)
		private := ed25519.NewKeyFromSeed(seed[:])
		own, _ := private.Public().(ed25519.PublicKey)
		signed := ed25519.Sign(private, message)
		if bit >= 0 {
			signed[bit/8%64] ^= 1 << (bit % 8)
		}
		require.Equal(t, bit < 0, requireAgreement(t, own, message, signed))
	})
}
