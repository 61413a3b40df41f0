package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mailroom/shared/config"
)

// Prefixes of the secrets of Standard Webhooks.
const (
	symmetricPrefix = "whsec_"
	publicPrefix    = "whpk_"
)

// Key is one secret of a source. Number is its place in the configuration,
// counted from 1: the name of the key in logs and metrics.
type Key struct {
	Number  int
	Secret  config.Secret
	Expires time.Time // zero: never
}

// StandardWebhooksOnly reports whether text says by its prefix that it is a key of
// Standard Webhooks. It serves no other scheme: what follows whsec_ is encoded, and
// what follows whpk_ is public, so that as the key of a MAC anybody could use it.
func StandardWebhooksOnly(text string) bool {
	return strings.HasPrefix(text, symmetricPrefix) || strings.HasPrefix(text, publicPrefix)
}

// misplaced reports whether text holds a public key in another form than that of
// Standard Webhooks. As the key of a MAC anybody could use it.
func misplaced(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "public key") || strings.Contains(lower, publicPrefix) && !strings.HasPrefix(text, publicPrefix)
}

// checkKeys names the first key that a scheme cannot start with. A source without
// a key, or with an empty one, would be open to anybody.
func checkKeys(scheme string, keys []Key, readable func(text string) error) error {
	if len(keys) == 0 {
		return fmt.Errorf("%s: no secret serves this scheme", scheme)
	}
	for _, k := range keys {
		text := k.Secret.Reveal()
		if text == "" {
			return fmt.Errorf("%s: secret %d is empty", scheme, k.Number)
		}
		if misplaced(text) {
			return fmt.Errorf("%s: secret %d holds a public key that is not written as whpk_ and its base64 alone", scheme, k.Number)
		}
		if err := readable(text); err != nil {
			return fmt.Errorf("%s: secret %d %w", scheme, k.Number, err)
		}
	}
	return nil
}

// isPlainText is readable for the schemes whose key is the text itself.
func isPlainText(text string) error {
	if StandardWebhooksOnly(text) {
		return errors.New("begins with whsec_ or whpk_, and such a secret serves standard-webhooks alone")
	}
	return nil
}

// isAnything is readable for the scheme that reads its keys itself.
func isAnything(string) error { return nil }

// liveKey is a key as one request sees it.
type liveKey struct {
	number int
	text   string
}

// live gives the keys that have not expired at now and whose text, as it is now,
// is readable.
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
