package seal

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// Purpose is authenticated with the content, so that what is sealed for one purpose
// does not open for another, although the keys are the same.
type Purpose string

// The purposes.
const (
	FallbackEvent   Purpose = "mailroom carried event v1\x00"    // an event in the input of its workflow
	TemporalPayload Purpose = "mailroom temporal payload v1\x00" // a payload of the codec
)

// Keyring seals and opens. The zero value has no key: it only compresses, and opens
// only what is not encrypted. It is safe for concurrent use.
type Keyring struct {
	keys []*key
}

// key is one key, with the cipher made from its current text.
type key struct {
	config.EncryptionKey
	made atomic.Pointer[made]
}

type made struct {
	text string
	box  cipher.AEAD
}

// New checks that each key can be used. The text of a key is read at each use, so that
// a rotated one takes effect at once.
func New(c config.Encryption) (Keyring, error) {
	seen := make(map[string]bool, len(c.Keys))
	var r Keyring
	for _, k := range c.Keys {
		if k.ID == "" || seen[k.ID] {
			return Keyring{}, fmt.Errorf("encryption key %q: its id is empty or not unique", k.ID)
		}
		seen[k.ID] = true
		own := &key{EncryptionKey: k}
		if _, err := own.aead(); err != nil {
			return Keyring{}, err
		}
		r.keys = append(r.keys, own)
	}
	return r, nil
}

// Seal compresses plain and encrypts it, for FallbackEvent, under the first key.
// Without keys the result has no KeyID and is not encrypted. It fails only if the key
// was rotated to an invalid text.
func (r Keyring) Seal(plain []byte) (contract.Sealed, error) {
	packed := Compress(plain)
	if r.Empty() {
		return contract.Sealed{Data: packed}, nil
	}
	id, data, err := r.Encrypt(FallbackEvent, packed)
	if err != nil {
		return contract.Sealed{}, err
	}
	return contract.Sealed{KeyID: id, Data: data}, nil
}

// Open returns the sealed content. It refuses content longer than limit bytes, and
// stops decompressing there. Content without a KeyID is opened too, whether there are
// keys or not, because an ingress without keys may have written it; the caller checks
// its integrity.
//
// A missing key is a temporary fault, because it may still be deployed. Content that
// does not open with its key is content_lost.
func (r Keyring) Open(s contract.Sealed, limit int64) ([]byte, error) {
	packed := s.Data
	if s.KeyID != "" {
		var err error
		if packed, err = r.Decrypt(FallbackEvent, s.KeyID, s.Data); err != nil {
			return nil, err
		}
	}
	return Decompress(packed, limit)
}

// Empty reports whether there is no key.
func (r Keyring) Empty() bool { return len(r.keys) == 0 }

// Encrypt encrypts plain, uncompressed, under the first key and returns the key's id.
// It must not be called on an Empty keyring.
func (r Keyring) Encrypt(p Purpose, plain []byte) (keyID string, sealed []byte, err error) {
	key := r.keys[0]
	box, err := key.aead()
	if err != nil {
		return "", nil, fault.Wrap(fault.Internal, "the configured encryption key cannot be used", err)
	}
	room := make([]byte, 0, len(plain)+box.Overhead())
	return key.ID, box.Seal(room, nil, plain, p.bound(key.ID)), nil //nolint:gosec // G407: this cipher makes the nonce itself
}

// Decrypt returns what was encrypted for p under the key keyID. Its errors are those of
// Open.
func (r Keyring) Decrypt(p Purpose, keyID string, sealed []byte) ([]byte, error) {
	key, ok := r.find(keyID)
	if !ok {
		return nil, missing(keyID, errors.New("no such key"))
	}
	box, err := key.aead()
	if err != nil {
		return nil, missing(keyID, err)
	}
	plain, err := box.Open(nil, nil, sealed, p.bound(keyID))
	if err != nil {
		return nil, fault.Wrap(fault.ContentLost, "the sealed content was altered, or its key was replaced under the same id", err)
	}
	return plain, nil
}

func (r Keyring) find(id string) (*key, bool) {
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return nil, false
}

// missing returns the fault of a key that is not configured.
func missing(id string, err error) error {
	f := fault.Wrap(fault.ConfigInvalid,
		fmt.Sprintf("encryption key %q, under which the content is sealed, is not configured here; it will be tried again", id), err)
	f.Temporary = true
	return f
}

// bound returns the data that is authenticated with the content.
func (p Purpose) bound(keyID string) []byte { return []byte(string(p) + keyID) }

// aead returns the cipher of a key: AES-256-GCM with a random nonce before the
// ciphertext (NIST SP 800-38D §8.2.2), for at most 2^32 contents per key.
func (k *key) aead() (cipher.AEAD, error) {
	text := k.Key.Reveal()
	if m := k.made.Load(); m != nil && m.text == text {
		return m.box, nil
	}
	raw, ok := decode(text)
	if !ok {
		return nil, fmt.Errorf("encryption key %q: it is not %d bytes in hex or base64", k.ID, KeySize)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("encryption key %q: %w", k.ID, err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("encryption key %q: %w", k.ID, err)
	}
	k.made.Store(&made{text: text, box: box})
	return box, nil
}

// decode parses a key. Hex and base64 differ in length, so that they cannot be
// confused.
func decode(text string) ([]byte, bool) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(KeySize) {
		key, err := hex.DecodeString(text)
		return key, err == nil
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	key, err := encoding.Strict().DecodeString(strings.TrimRight(text, "="))
	return key, err == nil && len(key) == KeySize
}

// writers pools compressors, which are large.
var writers = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is a good one
	return w
}}

// readers pools decompressors.
var readers = sync.Pool{New: func() any { return &reader{} }}

// reader is a decompressor, or nil before the first content: zlib needs input to make
// one.
type reader struct{ io.ReadCloser }

func (r *reader) reset(from io.Reader) error {
	if again, ok := r.ReadCloser.(zlib.Resetter); ok {
		return again.Reset(from, nil) //nolint:wrapcheck // for the caller, as below
	}
	made, err := zlib.NewReader(from)
	if err == nil { // else it would be a nil that is not nil
		r.ReadCloser = made
	}
	return err //nolint:wrapcheck // for the caller
}

// Compress returns plain in the zlib format (RFC 1950).
func Compress(plain []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(plain)/2 + 64)
	w, _ := writers.Get().(*zlib.Writer)
	defer writers.Put(w)
	w.Reset(&out)
	_, _ = w.Write(plain) // a Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// Decompress undoes Compress. Content longer than limit bytes, incomplete content and
// content followed by other bytes are content_lost.
func Decompress(packed []byte, limit int64) ([]byte, error) {
	const lost = "the sealed content cannot be unpacked"
	from := bytes.NewReader(packed)
	r, _ := readers.Get().(*reader)
	defer readers.Put(r)
	if err := r.reset(from); err != nil {
		return nil, fault.Wrap(fault.ContentLost, lost, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.ContentLost, lost, err)
	case int64(len(plain)) > limit:
		return nil, fault.Newf(fault.ContentLost, "the sealed content is longer than %d bytes", limit)
	case from.Len() > 0:
		return nil, fault.Wrap(fault.ContentLost, lost, errors.New("something follows the content"))
	}
	return plain, nil
}
