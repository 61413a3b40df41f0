package signature

import (
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"hash"

	"filippo.io/edwards25519"
)

// publicKey is an Ed25519 public key. Its encoding is stored because a signature covers
// the original bytes.
type publicKey struct {
	encoding [ed25519.PublicKeySize]byte
	negated  *edwards25519.Point
}

// decodePublicKey decodes a public key. It accepts the same encodings as crypto/ed25519;
// its errors complete a sentence that begins with the key.
func decodePublicKey(encoding []byte) (*publicKey, error) {
	if len(encoding) != ed25519.PublicKeySize {
		return nil, errors.New("is not 32 bytes long")
	}
	point, err := new(edwards25519.Point).SetBytes(encoding)
	if err != nil {
		return nil, errors.New("is not a point of the curve")
	}
	return &publicKey{
		encoding: [ed25519.PublicKeySize]byte(encoding),
		negated:  new(edwards25519.Point).Negate(point),
	}, nil
}

// isSmall reports whether the point has small order. Such a key has no private key, and
// any sender can construct signatures for it.
func (k *publicKey) isSmall() bool {
	return new(edwards25519.Point).MultByCofactor(k.negated).Equal(edwards25519.NewIdentityPoint()) == 1
}

// ed25519Verifier verifies one signature over a message that is written to it in pieces.
// One pass is enough, because the hash begins with R, a part of the signature, and the
// key (RFC 8032 section 5.1.7). It accepts exactly what ed25519.Verify accepts: S below
// the group's order, and the equation without the cofactor, compared by encoding. All its
// inputs are public, so it need not run in constant time.
type ed25519Verifier struct {
	key    *publicKey
	r      [32]byte
	s      *edwards25519.Scalar
	digest hash.Hash
}

// newEd25519Verifier returns false for a signature that is not valid for any message.
func newEd25519Verifier(key *publicKey, signature *[ed25519.SignatureSize]byte) (*ed25519Verifier, bool) {
	s, err := edwards25519.NewScalar().SetCanonicalBytes(signature[32:])
	if err != nil {
		return nil, false
	}
	v := &ed25519Verifier{key: key, r: [32]byte(signature[:32]), s: s, digest: sha512.New()}
	v.digest.Write(v.r[:])
	v.digest.Write(key.encoding[:])
	return v, true
}

// Write adds a piece of the message. It never fails.
func (v *ed25519Verifier) Write(p []byte) (int, error) {
	v.digest.Write(p)
	return len(p), nil
}

// valid reports whether R = [S]B - [k]A. It is called after the last Write.
func (v *ed25519Verifier) valid() bool {
	k, err := edwards25519.NewScalar().SetUniformBytes(v.digest.Sum(nil))
	if err != nil {
		return false
	}
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, v.key.negated, v.s)
	return subtle.ConstantTimeCompare(r.Bytes(), v.r[:]) == 1
}
