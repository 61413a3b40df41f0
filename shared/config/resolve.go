package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxSecret bounds a secret in a file, in bytes.
const maxSecret = 64 << 10

// resolve fills in the secrets. Of a source the first must be there; the others
// serve rotation, and one that resolves to nothing is dropped. Expired secrets
// stay, for the scheme to refuse, but one must be valid.
func (c *checker) resolve(f *File, getenv func(string) string, now time.Time) {
	for i := range f.Sources {
		c.resolveSource(&f.Sources[i], i, getenv, now)
	}
	for i := range f.Destinations {
		c.resolveOne(&f.Destinations[i].Secret, getenv, "destinations", i, "secret", "ref")
	}
	tokens := map[string]int{}
	for i := range f.Operators {
		ref := &f.Operators[i].Token
		if !c.resolveOne(ref, getenv, "operators", i, "token", "ref") {
			continue
		}
		if first, taken := tokens[ref.Key.Reveal()]; taken {
			c.add(fmt.Sprintf("resolves to the same token as operators[%d]", first), "operators", i, "token", "ref")
			continue
		}
		tokens[ref.Key.Reveal()] = i
	}
}

func (c *checker) resolveSource(s *Source, i int, getenv func(string) string, now time.Time) {
	kept := make([]KeyRef, 0, len(s.Secrets))
	valid, sound := false, true
	for j := range s.Secrets {
		key := s.Secrets[j]
		at := []any{"sources", i, "secrets", j, "ref"}
		if c.wrong(at...) || key.Ref == "" {
			sound = false
			continue
		}
		text, err := lookUp(key.Ref, getenv)
		if errors.Is(err, errNothing) && j > 0 {
			continue
		}
		if err != nil {
			sound = false
			c.add(err.Error(), at...)
			continue
		}
		key.Key = NewSecret(text)
		valid = valid || key.Expires.IsZero() || key.Expires.After(now)
		kept = append(kept, key)
	}
	if sound && !valid && len(s.Secrets) > 0 {
		c.add("holds no secret that is still valid: each has expired or is not set", "sources", i, "secrets")
	}
	s.Secrets = kept
}

// resolveOne fills in a secret that must be there and reports whether it is.
func (c *checker) resolveOne(key *KeyRef, getenv func(string) string, at ...any) bool {
	if c.wrong(at...) || key.Ref == "" {
		return false
	}
	text, err := lookUp(key.Ref, getenv)
	if err != nil {
		c.add(err.Error(), at...)
		return false
	}
	key.Key = NewSecret(text)
	return true
}

// errNothing is a reference to a secret that is not there.
var errNothing = errors.New("resolves to nothing")

// lookUp gives the text behind a reference; its errors name the reference and
// never what it holds. One newline at the end of a file is not part of the secret.
func lookUp(ref string, getenv func(string) string) (string, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	switch scheme {
	case "env":
		text := getenv(rest)
		if text == "" {
			return "", fmt.Errorf("%s %w: the variable is not set", ref, errNothing)
		}
		return text, nil
	case "file":
		return readSecret(ref, rest)
	case "vault", "aws-sm":
		return "", fmt.Errorf("%s: references are not supported yet; use env:NAME or file:/path", scheme)
	default:
		return "", errors.New("is not a reference that Mailroom knows; use env:NAME or file:/path")
	}
}

func readSecret(ref, path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s %w: there is no such file", ref, errNothing)
	}
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", ref, err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", ref, err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("%s is larger than %s", ref, Bytes(maxSecret))
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("%s %w: the file is empty", ref, errNothing)
	}
	return secret, nil
}
