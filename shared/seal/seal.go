// Package seal makes content fit to be kept by Temporal: compressed, and encrypted
// where a key is configured.
//
// Invariants: the first key seals, every key opens; nothing opens that was
// altered, sealed for another purpose or under another key; opening never makes
// more bytes than the caller allows; no error holds a key or content.
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

// Purpose is authenticated with each content, so that what is sealed for one
// purpose opens for no other, although the keys are the same.
type Purpose string

// The purposes.
const (
	CarriedEvent    Purpose = "mailroom carried event v1\x00"    // an event in the input of its workflow
	TemporalPayload Purpose = "mailroom temporal payload v1\x00" // whatever else Temporal keeps
)

// Keyring seals and opens. The zero value has no key: it compresses alone, and
// opens only what is not encrypted. It is safe for concurrent use.
type Keyring struct {
	keys []*key
}

// key is one key, and the cipher that was last made of its text.
type key struct {
	config.EncryptionKey
	made atomic.Pointer[made]
}

type made struct {
	text string
	box  cipher.AEAD
}

// New checks that each key can be used. Keys are asked for their text at each
// use, so that a renewed one counts at once.
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

// Seal compresses plain and encrypts it, for CarriedEvent, under the first key;
// without keys the result has no KeyID and anybody can read it. It fails only where
// the key was renewed with a text that is none.
func (r Keyring) Seal(plain []byte) (contract.Sealed, error) {
	packed := Compress(plain)
	if r.Empty() {
		return contract.Sealed{Data: packed}, nil
	}
	id, data, err := r.Encrypt(CarriedEvent, packed)
	if err != nil {
		return contract.Sealed{}, err
	}
	return contract.Sealed{KeyID: id, Data: data}, nil
}

// Open gives what was sealed, at most limit bytes of it: longer content is
// refused and not decompressed any further. What has no KeyID is opened as well,
// whether there are keys or not, because an ingress without keys may have written
// it; its integrity is the caller's to check.
//
// A key that is not here is a fault that time cures, because it may be deployed
// yet. Content that does not open with its key is content_lost.
func (r Keyring) Open(s contract.Sealed, limit int64) ([]byte, error) {
	packed := s.Data
	if s.KeyID != "" {
		var err error
		if packed, err = r.Decrypt(CarriedEvent, s.KeyID, s.Data); err != nil {
			return nil, err
		}
	}
	return Decompress(packed, limit)
}

// Empty reports whether there is no key.
func (r Keyring) Empty() bool { return len(r.keys) == 0 }

// Encrypt encrypts plain, as it is, under the first key, and says under which. It
// must not be called on an Empty keyring.
func (r Keyring) Encrypt(p Purpose, plain []byte) (keyID string, sealed []byte, err error) {
	key := r.keys[0]
	box, err := key.aead()
	if err != nil {
		return "", nil, fault.Wrap(fault.Internal, "the configured encryption key cannot be used", err)
	}
	room := make([]byte, 0, len(plain)+box.Overhead())
	return key.ID, box.Seal(room, nil, plain, p.bound(key.ID)), nil //nolint:gosec // G407: this cipher makes the nonce itself
}

// Decrypt gives what was encrypted for p under the key of that id. Its errors are
// those of Open.
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

// missing is the fault of a key that somebody has to configure.
func missing(id string, err error) error {
	f := fault.Wrap(fault.ConfigInvalid,
		fmt.Sprintf("encryption key %q, under which the content is sealed, is not configured here; it will be tried again", id), err)
	f.Temporary = true
	return f
}

// bound is what is authenticated with the content.
func (p Purpose) bound(keyID string) []byte { return []byte(string(p) + keyID) }

// aead gives the cipher of a key: AES-256-GCM with a random nonce before the
// ciphertext (NIST SP 800-38D §8.2.2), good for 2^32 contents per key.
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

// decode reads a key. Its two spellings differ in length, so that none can be
// taken for the other.
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

// writers keeps compressors, which are large, for the next content.
var writers = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is a good one
	return w
}}

// readers keeps decompressors likewise.
var readers = sync.Pool{New: func() any { return &reader{} }}

// reader is a decompressor, once there was something to read: none can be made
// without.
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

// Compress gives plain in the zlib format (RFC 1950).
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

// Decompress undoes Compress. It makes at most limit bytes: longer content, like
// content that is not whole or not alone, is content_lost.
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
