package signature

import (
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"hash"

	"filippo.io/edwards25519"
)

// publicKey is an Ed25519 public key. The encoding is kept because it is hashed as
// it came.
type publicKey struct {
	encoding [ed25519.PublicKeySize]byte
	negated  *edwards25519.Point
}

// decodePublicKey accepts what crypto/ed25519 accepts.
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

// isSmall reports whether the point has small order. For such a key anybody can
// make signatures: nobody's private key belongs to it.
func (k *publicKey) isSmall() bool {
	return new(edwards25519.Point).MultByCofactor(k.negated).Equal(edwards25519.NewIdentityPoint()) == 1
}

// ed25519Verifier verifies one signature over a message that is written to it piece
// by piece, in one pass: SHA-512 begins with R, which is in the signature, and the
// key (RFC 8032 §5.1.7). It accepts exactly what ed25519.Verify accepts: S below
// the group's order, and the equation without the cofactor, on encodings. All that
// it works with is public, so that its time need not be constant.
type ed25519Verifier struct {
	key    *publicKey
	r      [32]byte
	s      *edwards25519.Scalar
	digest hash.Hash
}

// newEd25519Verifier is false for a signature that no message can have.
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

func (v *ed25519Verifier) Write(p []byte) (int, error) {
	v.digest.Write(p)
	return len(p), nil
}

// valid checks R = [S]B - [k]A after the last byte.
func (v *ed25519Verifier) valid() bool {
	k, err := edwards25519.NewScalar().SetUniformBytes(v.digest.Sum(nil))
	if err != nil {
		return false
	}
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, v.key.negated, v.s)
	return subtle.ConstantTimeCompare(r.Bytes(), v.r[:]) == 1
}
