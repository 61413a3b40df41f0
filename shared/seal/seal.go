// Package seal makes content fit to be carried by Temporal: compressed, and
// encrypted where a key is configured.
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

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// purpose is authenticated with each content, so that what is sealed here opens
// nowhere else, whatever the key is used for besides.
const purpose = "mailroom carried event v1\x00"

// Keyring seals and opens. The zero value has no key: it compresses alone, and
// opens only what is not encrypted. It is safe for concurrent use.
type Keyring struct {
	keys []config.EncryptionKey
}

// New checks that each key can be used. Keys are asked for their text at each
// use, so that a renewed one counts at once.
func New(c config.Encryption) (Keyring, error) {
	seen := make(map[string]bool, len(c.Keys))
	for _, k := range c.Keys {
		if k.ID == "" || seen[k.ID] {
			return Keyring{}, fmt.Errorf("encryption key %q: its id is empty or not unique", k.ID)
		}
		seen[k.ID] = true
		if _, err := aead(k); err != nil {
			return Keyring{}, err
		}
	}
	return Keyring{keys: c.Keys}, nil
}

// Seal compresses plain and encrypts it under the first key; without keys the
// result has no KeyID and anybody can read it. It fails only where the key was
// renewed with a text that is none.
func (r Keyring) Seal(plain []byte) (contract.Sealed, error) {
	packed := compress(plain)
	if len(r.keys) == 0 {
		return contract.Sealed{Data: packed}, nil
	}
	key := r.keys[0]
	box, err := aead(key)
	if err != nil {
		return contract.Sealed{}, fault.Wrap(fault.Internal, "the configured encryption key cannot be used", err)
	}
	sealed := box.Seal(nil, nil, packed, bound(key.ID)) //nolint:gosec // G407: this cipher makes the nonce itself
	return contract.Sealed{KeyID: key.ID, Data: sealed}, nil
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
		key, ok := r.find(s.KeyID)
		if !ok {
			return nil, missing(s.KeyID, errors.New("no such key"))
		}
		box, err := aead(key)
		if err != nil {
			return nil, missing(s.KeyID, err)
		}
		if packed, err = box.Open(nil, nil, s.Data, bound(s.KeyID)); err != nil {
			return nil, fault.Wrap(fault.ContentLost, "the carried content was altered, or its key was replaced under the same id", err)
		}
	}
	return decompress(packed, limit)
}

func (r Keyring) find(id string) (config.EncryptionKey, bool) {
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return config.EncryptionKey{}, false
}

// missing is the fault of a key that somebody has to configure.
func missing(id string, err error) error {
	f := fault.Wrap(fault.ConfigInvalid,
		fmt.Sprintf("encryption key %q, under which the content is sealed, is not configured here; it will be tried again", id), err)
	f.Temporary = true
	return f
}

// bound is what is authenticated with the content.
func bound(keyID string) []byte { return []byte(purpose + keyID) }

// aead gives the cipher of a key: AES-256-GCM with a random nonce before the
// ciphertext (NIST SP 800-38D §8.2.2), good for 2^32 contents per key.
func aead(k config.EncryptionKey) (cipher.AEAD, error) {
	key, ok := decode(k.Key.Reveal())
	if !ok {
		return nil, fmt.Errorf("encryption key %q: it is not %d bytes in hex or base64", k.ID, KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encryption key %q: %w", k.ID, err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("encryption key %q: %w", k.ID, err)
	}
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

func compress(plain []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(plain)/2 + 64)
	w, _ := writers.Get().(*zlib.Writer)
	defer writers.Put(w)
	w.Reset(&out)
	_, _ = w.Write(plain) // a Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

func decompress(packed []byte, limit int64) ([]byte, error) {
	const lost = "the carried content cannot be unpacked"
	from := bytes.NewReader(packed)
	r, err := zlib.NewReader(from)
	if err != nil {
		return nil, fault.Wrap(fault.ContentLost, lost, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.ContentLost, lost, err)
	case int64(len(plain)) > limit:
		return nil, fault.Newf(fault.ContentLost, "the carried content is longer than %d bytes", limit)
	case from.Len() > 0:
		return nil, fault.Wrap(fault.ContentLost, lost, errors.New("something follows the content"))
	}
	return plain, nil
}
