package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mailroom/shared/config"
)

// Prefixes of keys of Standard Webhooks.
const (
	symmetricPrefix = "whsec_"
	publicPrefix    = "whpk_"
)

// Key is one secret of a source.
type Key struct {
	Number  int // place in the configuration, from 1; identifies the key in logs and metrics
	Secret  config.Secret
	Expires time.Time // zero: never
}

// StandardWebhooksOnly reports whether text has the prefix of a Standard Webhooks key,
// whsec_ or whpk_. No other scheme may use such a key: the text after whsec_ is encoded,
// and the text after whpk_ is public, so as a MAC key any sender could sign with it.
func StandardWebhooksOnly(text string) bool {
	return strings.HasPrefix(text, symmetricPrefix) || strings.HasPrefix(text, publicPrefix)
}

// misplaced reports whether text contains a public key in any form other than whpk_ and
// base64. As a MAC key any sender could sign with it.
func misplaced(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "public key") || strings.Contains(lower, publicPrefix) && !strings.HasPrefix(text, publicPrefix)
}

// checkKeys returns an error that names the first key that the scheme cannot use, or nil.
// No key, or an empty one, is an error, because then any sender could sign. readable
// reports what is wrong with the form of a key.
func checkKeys(scheme string, keys []Key, readable func(text string) error) error {
	if len(keys) == 0 {
		return fmt.Errorf("%s: no secret is configured for this scheme", scheme)
	}
	for _, k := range keys {
		text := k.Secret.Reveal()
		if text == "" {
			return fmt.Errorf("%s: secret %d is empty", scheme, k.Number)
		}
		if misplaced(text) {
			return fmt.Errorf("%s: secret %d contains a public key in the wrong form; write it as whpk_ followed by its base64", scheme, k.Number)
		}
		if err := readable(text); err != nil {
			return fmt.Errorf("%s: secret %d %w", scheme, k.Number, err)
		}
	}
	return nil
}

// isPlainText returns an error unless text can be a key of a scheme whose key is the text
// itself.
func isPlainText(text string) error {
	if StandardWebhooksOnly(text) {
		return errors.New("begins with whsec_ or whpk_, which only the scheme standard-webhooks can use")
	}
	return nil
}

// isAnything accepts every text, for the scheme that parses its keys itself.
func isAnything(string) error { return nil }

// liveKey is the text of a key at the time of one request.
type liveKey struct {
	number int
	text   string
}

// live returns the keys that have not expired at now and whose current text the scheme
// can use.
func live(keys []Key, now time.Time, readable func(text string) error) []liveKey {
	out := make([]liveKey, 0, len(keys))
	for _, k := range keys {
		if !k.Expires.IsZero() && !now.Before(k.Expires) {
			continue
		}
		if text := k.Secret.Reveal(); text != "" && !misplaced(text) && readable(text) == nil {
			out = append(out, liveKey{number: k.Number, text: text})
		}
	}
	return out
}
