package source

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"mailroom/ingress/signature"
	"mailroom/shared/config"
)

// acceptsUnsigned reports whether c accepts unsigned requests from any sender, which is
// permitted only on a listener on a loopback address.
func acceptsUnsigned(c config.Source) bool { return slices.Contains(c.Schemes, signature.NoneName) }

// newSchemes returns the schemes of one source in the order of the configuration, or an
// error that names every mistake.
func newSchemes(c config.Source) ([]signature.Scheme, error) {
	if len(c.Schemes) == 0 {
		return nil, errors.New("no signature scheme is configured")
	}
	if err := checkInsecure(c); err != nil {
		return nil, err
	}

	var mistakes []error
	out := make([]signature.Scheme, 0, len(c.Schemes))
	for i, name := range c.Schemes {
		if slices.Contains(c.Schemes[:i], name) {
			mistakes = append(mistakes, fmt.Errorf("signature scheme %q is listed twice", name))
			continue
		}

		s, err := newScheme(c, name)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		out = append(out, s)
	}

	mistakes = append(mistakes, checkSecrets(c), checkVersions(c), checkHeader(c, out))
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return out, nil
}

// newScheme returns the named scheme with the secrets that can serve it.
func newScheme(c config.Source, name string) (signature.Scheme, error) {
	keys := keysOf(c, name)
	switch name {
	case signature.TimestampHMACName:
		return signature.NewTimestampHMAC(keys, c.Tolerance, c.SignatureVersions...)
	case signature.TimestampHMACHeaderName:
		return signature.NewTimestampHMACHeader(c.SignatureHeader, keys, c.Tolerance, c.SignatureVersions...)
	case signature.StandardWebhooksName:
		return signature.NewStandardWebhooks(keys, c.Tolerance, c.SignatureVersions...)
	case signature.BasicName:
		return signature.NewBasic(keys)
	case signature.BearerName:
		return signature.NewBearer(keys)
	case signature.NoneName:
		return signature.None{}, nil
	}
	return nil, fmt.Errorf("signature scheme %q does not exist", name)
}

// keysOf returns the secrets that the scheme can use. A key's number is its place in the
// configuration, the same for every scheme.
func keysOf(c config.Source, scheme string) []signature.Key {
	var out []signature.Key
	for i, k := range c.Secrets {
		if serves(k, scheme) {
			out = append(out, signature.Key{Number: c.KeyNumber(i), Secret: k.Key, Expires: k.Expires})
		}
	}
	return out
}

// serves reports whether the scheme can use a secret, by the text that it has at start.
// The scheme itself refuses a later text of another form.
func serves(k config.KeyRef, scheme string) bool {
	if scheme == signature.NoneName || k.Scheme != "" && k.Scheme != scheme {
		return false
	}
	return scheme == signature.StandardWebhooksName || !signature.StandardWebhooksOnly(k.Key.Reveal())
}

// checkInsecure returns an error unless a source of the scheme none, and no other, has
// insecure: true and no further scheme.
func checkInsecure(c config.Source) error {
	switch {
	case acceptsUnsigned(c) && !c.Insecure:
		return errors.New(`signature scheme "none" accepts unsigned requests from any sender; confirm it with insecure: true`)
	case acceptsUnsigned(c) && len(c.Schemes) > 1:
		return errors.New(`signature scheme "none" must be the only one: with it the others protect nothing`)
	case c.Insecure && !acceptsUnsigned(c):
		return errors.New(`insecure: true is only for the signature scheme "none"; remove it`)
	}
	return nil
}

// checkSecrets returns an error for each secret that no scheme of the source can use, so
// that an operator does not rotate to a key that is never compared.
func checkSecrets(c config.Source) error {
	var mistakes []error
	for i, k := range c.Secrets {
		text := k.Key.Reveal()
		if k.Scheme != "" && k.Scheme != signature.StandardWebhooksName && signature.StandardWebhooksOnly(text) {
			mistakes = append(mistakes, fmt.Errorf(
				"secret %d begins with whsec_ or whpk_, which only standard-webhooks can use, not %s", c.KeyNumber(i), k.Scheme))
			continue
		}
		if !slices.ContainsFunc(c.Schemes, func(scheme string) bool { return serves(k, scheme) }) {
			mistakes = append(mistakes, fmt.Errorf("secret %d cannot be used by any scheme of the source", c.KeyNumber(i)))
		}
	}
	return errors.Join(mistakes...)
}

// checkVersions returns an error for each listed version that no scheme of the source has.
func checkVersions(c config.Source) error {
	var mistakes []error
	for _, version := range c.SignatureVersions {
		if !slices.ContainsFunc(c.Schemes, func(scheme string) bool {
			return slices.Contains(signature.Versions(scheme), version)
		}) {
			mistakes = append(mistakes, fmt.Errorf("signature version %q belongs to no scheme of the source", version))
		}
	}
	return errors.Join(mistakes...)
}

// checkHeader returns an error if another scheme reads the header of
// timestamp-hmac-header: each request would have the headers of two schemes and be refused.
func checkHeader(c config.Source, schemes []signature.Scheme) error {
	if !slices.Contains(c.Schemes, signature.TimestampHMACHeaderName) {
		return nil
	}
	probe := http.Header{http.CanonicalHeaderKey(c.SignatureHeader): {"Basic", "Bearer"}}
	for _, s := range schemes {
		if s.Name() != signature.TimestampHMACHeaderName && s.Present(probe) {
			return fmt.Errorf("signature_header %s is also read by the scheme %s; name another header", c.SignatureHeader, s.Name())
		}
	}
	return nil
}
