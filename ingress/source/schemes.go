package source

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"mailroom/ingress/signature"
	"mailroom/shared/config"
)

// anybody reports whether c lets anybody post, which only a listener on a loopback
// address may do.
func anybody(c config.Source) bool { return slices.Contains(c.Schemes, signature.NoneName) }

// newSchemes makes the schemes of one source in the order of the configuration.
// Every mistake is named, all at once.
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
	return nil, fmt.Errorf("signature scheme %q is not known", name)
}

// keysOf picks the secrets that serve a scheme. A key keeps its place in the
// configuration as its number, whichever scheme it serves.
func keysOf(c config.Source, scheme string) []signature.Key {
	var out []signature.Key
	for i, k := range c.Secrets {
		if serves(k, scheme) {
			out = append(out, signature.Key{Number: c.KeyNumber(i), Secret: k.Key, Expires: k.Expires})
		}
	}
	return out
}

// serves is decided by the text of the secret as it is at start; the scheme itself
// refuses a text of another kind that comes later.
func serves(k config.KeyRef, scheme string) bool {
	if scheme == signature.NoneName || k.Scheme != "" && k.Scheme != scheme {
		return false
	}
	return scheme == signature.StandardWebhooksName || !signature.StandardWebhooksOnly(k.Key.Reveal())
}

// checkInsecure sees that a source which lets anybody post says so, and says nothing else.
func checkInsecure(c config.Source) error {
	switch {
	case anybody(c) && !c.Insecure:
		return errors.New(`signature scheme "none" lets anybody post and must be confirmed with insecure: true`)
	case anybody(c) && len(c.Schemes) > 1:
		return errors.New(`signature scheme "none" must be the only one: beside it the others would protect nothing`)
	case c.Insecure && !anybody(c):
		return errors.New(`insecure: true belongs to the signature scheme "none" alone`)
	}
	return nil
}

// checkSecrets sees that every secret can serve, so that no rotation goes to a key
// that nothing is compared with.
func checkSecrets(c config.Source) error {
	var mistakes []error
	for i, k := range c.Secrets {
		text := k.Key.Reveal()
		if k.Scheme != "" && k.Scheme != signature.StandardWebhooksName && signature.StandardWebhooksOnly(text) {
			mistakes = append(mistakes, fmt.Errorf(
				"secret %d begins with whsec_ or whpk_ and serves standard-webhooks alone, not %s", c.KeyNumber(i), k.Scheme))
			continue
		}
		if !slices.ContainsFunc(c.Schemes, func(scheme string) bool { return serves(k, scheme) }) {
			mistakes = append(mistakes, fmt.Errorf("secret %d serves none of the schemes of the source", c.KeyNumber(i)))
		}
	}
	return errors.Join(mistakes...)
}

// checkVersions sees that every listed version means something to some scheme.
func checkVersions(c config.Source) error {
	var mistakes []error
	for _, version := range c.SignatureVersions {
		if !slices.ContainsFunc(c.Schemes, func(scheme string) bool {
			return slices.Contains(signature.Versions(scheme), version)
		}) {
			mistakes = append(mistakes, fmt.Errorf("signature version %q is known to none of the schemes of the source", version))
		}
	}
	return errors.Join(mistakes...)
}

// checkHeader sees that no other scheme reads the header of timestamp-hmac-header:
// each request would carry the headers of two schemes and be refused.
func checkHeader(c config.Source, schemes []signature.Scheme) error {
	if !slices.Contains(c.Schemes, signature.TimestampHMACHeaderName) {
		return nil
	}
	probe := http.Header{http.CanonicalHeaderKey(c.SignatureHeader): {"Basic", "Bearer"}}
	for _, s := range schemes {
		if s.Name() != signature.TimestampHMACHeaderName && s.Present(probe) {
			return fmt.Errorf("signature_header %s is read by the scheme %s as well", c.SignatureHeader, s.Name())
		}
	}
	return nil
}
