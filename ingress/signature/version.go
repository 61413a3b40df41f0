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

// Versions returns the versions of signatures that the named scheme can verify, nil for a
// scheme without versions.
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

// versions are the versions of signatures that a scheme accepts.
type versions []string

// restrictVersions returns those versions of the scheme that are listed, all if the list
// is empty. It returns an error if none is left.
func restrictVersions(scheme string, listed []string) (versions, error) {
	known := Versions(scheme)
	if len(listed) == 0 {
		return known, nil
	}
	out := slices.DeleteFunc(known, func(v string) bool { return !slices.Contains(listed, v) })
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: none of the signature versions %s belongs to this scheme", scheme, strings.Join(listed, ", "))
	}
	return out, nil
}

// has reports whether version is accepted.
func (v versions) has(version string) bool { return slices.Contains(v, version) }
