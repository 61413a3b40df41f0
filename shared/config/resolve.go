package config

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/shared/secret"
)

// resolvesAtOnce bounds how many references are resolved at the same time; a
// store that is unavailable then costs one timeout, not one for each reference.
const resolvesAtOnce = 64

// keySize is the length of an encryption key in bytes.
const keySize = 32

// Resolver finds the secrets behind references; *secret.Store is one.
type Resolver interface {
	// Resolve returns a secret that must exist.
	Resolve(ctx context.Context, ref string) (Secret, error)
	// Expect returns a secret that may appear later, and whether it exists now.
	Expect(ctx context.Context, ref string) (s Secret, there bool, err error)
	// Verifying returns, for a resolved or expected reference, the secret for checking what
	// callers present.
	Verifying(ref string) Secret
}

var _ Resolver = (*secret.Store)(nil)

// once resolves for a program that reads the file once: it waits for no secret.
type once struct{ *secret.Store }

func (o once) Expect(ctx context.Context, ref string) (Secret, bool, error) {
	s, err := o.Resolve(ctx, ref)
	return s, err == nil, err
}

// wanted is a reference and how it is resolved.
type wanted struct {
	ref string
	may bool // it may be missing
}

// answer is the result of resolving a reference.
type answer struct {
	secret Secret
	there  bool
	err    error
}

// resolution is what the references of a file resolve to, and what is wrong with it.
type resolution struct {
	mistakes *checker
	answers  map[wanted]answer
	// verifying is Resolver.Verifying.
	verifying func(ref string) Secret
}

// resolve fills in the secrets that role uses. The first secret of a source must exist. The
// others serve rotation: one that does not exist is waited for, or dropped if it cannot
// appear or has expired. Expired secrets stay, so that the scheme refuses them by name,
// but at least one must be valid.
func resolve(ctx context.Context, c *checker, f *File, role Role, from Resolver, now time.Time) {
	r := &resolution{mistakes: c, answers: ask(ctx, from, references(c, f, role)), verifying: from.Verifying}

	if role.has(RoleIngress) {
		for i := range f.Sources {
			r.source(&f.Sources[i], i, now)
		}
		r.operators(f)
		if oidc := &f.Access.OIDC; oidc.ClientSecret.Ref != "" {
			r.resolveOne(&oidc.ClientSecret.Key, oidc.ClientSecret.Ref, "access", "oidc", "client_secret", "ref")
		}
	}

	if role.has(RoleWorker) {
		for i := range f.Destinations {
			d := &f.Destinations[i]
			r.resolveOne(&d.Secret.Key, d.Secret.Ref, "destinations", i, "secret", "ref")
		}
	}

	if role.has(RoleAll) {
		r.encryptionKeys(f)
	}
}

// operators fills in the tokens of operators, no two of which may be the same.
func (r *resolution) operators(f *File) {
	tokens := map[string]int{}
	for i := range f.Operators {
		token := &f.Operators[i].Token
		at := []any{"operators", i, "token", "ref"}
		if !r.resolveOne(&token.Key, token.Ref, at...) {
			continue
		}
		if first, taken := tokens[token.Key.Reveal()]; taken {
			r.mistakes.add(fmt.Sprintf("resolves to the same token as operators[%d]", first), at...)
			continue
		}
		tokens[token.Key.Reveal()] = i
		token.Key = r.verifying(token.Ref)
	}
}

// encryptionKeys fills in the keys of encryption.
func (r *resolution) encryptionKeys(f *File) {
	for i := range f.Encryption.Keys {
		key := &f.Encryption.Keys[i]
		at := []any{"encryption", "keys", i, "ref"}
		if !r.resolveOne(&key.Key, key.Ref, at...) {
			continue
		}
		if !isKey(key.Key.Reveal()) {
			r.mistakes.add(fmt.Sprintf("does not resolve to %d bytes in hex or base64", keySize), at...)
		}
		// What is sealed under an id must open under it: the key never changes.
		key.Key = NewSecret(key.Key.Reveal())
	}
}

// references lists what role has to resolve, without what has a mistake already. It
// checks the form of the others.
func references(c *checker, f *File, role Role) []wanted {
	var out []wanted
	listed := map[wanted]bool{}
	add := func(of Role, ref string, may bool, at ...any) {
		if ref == "" || c.wrong(at...) {
			return
		}
		if !role.has(of) {
			if err := secret.CheckReference(ref); err != nil {
				c.add(err.Error(), at...)
			}
			return
		}
		if w := (wanted{ref, may}); !listed[w] {
			listed[w] = true
			out = append(out, w)
		}
	}

	for i, s := range f.Sources {
		for j, key := range s.Secrets {
			add(RoleIngress, key.Ref, j > 0, "sources", i, "secrets", j, "ref")
		}
	}
	for i, d := range f.Destinations {
		add(RoleWorker, d.Secret.Ref, false, "destinations", i, "secret", "ref")
	}
	for i, o := range f.Operators {
		add(RoleIngress, o.Token.Ref, false, "operators", i, "token", "ref")
	}
	add(RoleIngress, f.Access.OIDC.ClientSecret.Ref, false, "access", "oidc", "client_secret", "ref")
	for i, k := range f.Encryption.Keys {
		add(RoleAll, k.Ref, false, "encryption", "keys", i, "ref")
	}
	return out
}

// ask resolves all references concurrently.
func ask(ctx context.Context, from Resolver, refs []wanted) map[wanted]answer {
	answers := make([]answer, len(refs))
	var group errgroup.Group
	group.SetLimit(resolvesAtOnce)
	for i, w := range refs {
		group.Go(func() error {
			a := &answers[i]
			if w.may {
				a.secret, a.there, a.err = from.Expect(ctx, w.ref)
			} else {
				a.secret, a.err = from.Resolve(ctx, w.ref)
				a.there = a.err == nil
			}
			return nil
		})
	}
	_ = group.Wait() // each answer has its own error

	out := make(map[wanted]answer, len(refs))
	for i, w := range refs {
		out[w] = answers[i]
	}
	return out
}

// source fills in the secrets of a source and drops those that cannot appear any more.
func (r *resolution) source(s *Source, i int, now time.Time) {
	kept := make([]KeyRef, 0, len(s.Secrets))
	valid, sound := false, true

	for j, key := range s.Secrets {
		at := []any{"sources", i, "secrets", j, "ref"}
		if r.mistakes.wrong(at...) || key.Ref == "" {
			sound = false
			continue
		}
		a := r.answers[wanted{key.Ref, j > 0}]
		alive := key.Expires.IsZero() || key.Expires.After(now)
		absent := errors.Is(a.err, secret.ErrNothing) || a.err == nil && !a.there
		switch {
		case absent && j > 0 && (a.err != nil || !alive):
			continue
		case a.err != nil:
			sound = false
			r.mistakes.add(a.err.Error(), at...)
			continue
		}
		if a.there {
			if problem := checkServes(s, key, a.secret.Reveal()); problem != "" {
				r.mistakes.add(problem, at...)
			}
			valid = valid || alive
		}
		key.Key = r.verifying(key.Ref)
		key.Place = j + 1
		kept = append(kept, key)
	}

	if sound && !valid && len(s.Secrets) > 0 {
		r.mistakes.add("holds no secret that is still valid: each has expired or is not set", "sources", i, "secrets")
	}
	s.Secrets = kept
}

// checkServes returns what is wrong if no scheme of the source can use a secret: secrets of
// Standard Webhooks have an encoding of their own.
func checkServes(s *Source, key KeyRef, text string) string {
	prefix := ""
	for _, p := range []string{"whsec_", "whpk_"} {
		if strings.HasPrefix(text, p) {
			prefix = p
		}
	}
	switch {
	case prefix == "":
	case key.Scheme != "" && key.Scheme != schemeStandard:
		return fmt.Sprintf("resolves to text that begins with %s, which only standard-webhooks can use, not %s", prefix, key.Scheme)
	case !slices.Contains(s.Schemes, schemeStandard):
		return fmt.Sprintf("resolves to text that begins with %s, which only standard-webhooks can use; "+
			"the source does not list it", prefix)
	}
	return ""
}

// resolveOne fills in a secret that must exist and reports whether it does.
func (r *resolution) resolveOne(key *Secret, ref string, at ...any) bool {
	if r.mistakes.wrong(at...) || ref == "" {
		return false
	}
	a := r.answers[wanted{ref: ref}]
	if a.err != nil {
		r.mistakes.add(a.err.Error(), at...)
		return false
	}
	*key = a.secret
	return true
}

// isKey reports whether text is an encryption key in hex or base64, which differ
// in length.
func isKey(text string) bool {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(keySize) {
		_, err := hex.DecodeString(text)
		return err == nil
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	key, err := encoding.Strict().DecodeString(strings.TrimRight(text, "="))
	return err == nil && len(key) == keySize
}
