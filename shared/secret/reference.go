package secret

import (
	"encoding/json"
	"errors"
	"strings"
)

// The schemes of references.
const (
	schemeEnv   = "env"
	schemeFile  = "file"
	schemeVault = "vault"
	schemeAWS   = "aws-sm"
)

// reference is a reference taken apart.
type reference struct {
	text   string // as it was written; not secret
	scheme string
	mount  string // vault: the first segment of the path
	name   string // the variable, the file's path, vault's path below the mount, the id or ARN
	field  string // vault, aws-sm: the member that holds the text; empty: the whole
}

// parse takes a reference apart. Its errors do not repeat it: what is no
// reference may be a secret in the wrong place.
func parse(ref string) (reference, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	at := reference{text: ref, scheme: scheme, name: rest}

	switch scheme {
	case schemeEnv:
		if rest == "" {
			return at, errors.New("must name a variable, as env:NAME")
		}
	case schemeFile:
		if rest == "" {
			return at, errors.New("must name a file, as file:/path")
		}
	case schemeVault:
		path, field, _ := strings.Cut(rest, "#")
		at.mount, at.name, _ = strings.Cut(path, "/")
		at.field = field
		if field == "" || !segments(path) || at.name == "" {
			return at, errors.New("must name a mount, a path and a field, as vault:<mount>/<path>#<field>")
		}
	case schemeAWS:
		at.name, at.field, _ = strings.Cut(rest, "#")
		if at.name == "" || strings.HasSuffix(rest, "#") {
			return at, errors.New("must name a secret, as aws-sm:<id or arn> or aws-sm:<id or arn>#<field>")
		}
	default:
		return at, errors.New("is not a reference that Mailroom knows; use env:NAME, file:/path, " +
			"vault:<mount>/<path>#<field> or aws-sm:<id>")
	}
	return at, nil
}

// CheckReference returns what is wrong with the form of a reference, nil where it can
// be resolved if what it names is there.
func CheckReference(ref string) error {
	_, err := parse(ref)
	return err
}

// segments reports whether a path names every one of its segments.
func segments(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// member returns the text of a field of a JSON object.
func member(object []byte, field string) (string, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil || fields == nil {
		return "", errors.New("the secret is not a JSON object, so it has no fields")
	}
	raw, ok := fields[field]
	if !ok {
		return "", errNoField
	}
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", errors.New("the field is not text")
	}
	return text, nil
}

// trimmed removes one newline from the end. Text that is only space is no secret: it can
// be guessed.
func trimmed(text string) (string, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if blank(text) {
		return "", nothing("it is empty")
	}
	return text, nil
}

func blank(text string) bool { return strings.TrimSpace(strings.ReplaceAll(text, "\ufeff", "")) == "" }
