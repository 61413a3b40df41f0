package signature

import (
	"fmt"
	"slices"
	"strings"
)

// Versions of signatures, as the configuration names them.
const (
	versionPlain  = "plain" // hex alone
	versionV1     = "v1"
	versionSHA256 = "sha256"
	versionV1a    = "v1a"
)

// Versions lists the versions of signatures that the scheme knows by its name;
// none for the schemes that have no versions.
func Versions(scheme string) []string {
	switch scheme {
	case TimestampHMACName:
		return []string{versionPlain, versionV1, versionSHA256}
	case TimestampHMACHeaderName:
		return []string{versionV1}
	case StandardWebhooksName:
		return []string{versionV1, versionV1a}
	}
	return nil
}

// versions is what counts of the versions that a scheme knows.
type versions []string

// allow narrows the versions of a scheme to those that are listed; an empty list
// narrows nothing. That none is left is an error.
func allow(scheme string, listed []string) (versions, error) {
	known := Versions(scheme)
	if len(listed) == 0 {
		return known, nil
	}
	out := slices.DeleteFunc(known, func(v string) bool { return !slices.Contains(listed, v) })
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: none of the signature versions %s is one of this scheme", scheme, strings.Join(listed, ", "))
	}
	return out, nil
}

func (v versions) has(version string) bool { return slices.Contains(v, version) }
