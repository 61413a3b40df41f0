package operations

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/secret"
)

func TestStateOfASecret(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	key := func(ends time.Duration, scheme string) config.KeyRef {
		k := config.KeyRef{Ref: "env:X", Scheme: scheme, Key: config.NewSecret("x")}
		if ends != 0 {
			k.Expires = now.Add(ends)
		}
		return k
	}
	const far, near = 15 * 24 * time.Hour, 14 * 24 * time.Hour
	absent := key(far, "")
	absent.Ref, absent.Key = "file:/waited/for", config.NewSecret("random text until it is there")
	for name, tc := range map[string]struct {
		secrets []config.KeyRef // the last one is asked for
		failing bool
		want    SecretState
	}{
		"only":                        {[]config.KeyRef{key(0, "")}, false, SecretCurrent},
		"only, with an end":           {[]config.KeyRef{key(far, "")}, false, SecretCurrent},
		"second":                      {[]config.KeyRef{key(0, ""), key(0, "")}, false, SecretCurrent},
		"second, with an end":         {[]config.KeyRef{key(0, ""), key(far, "")}, false, SecretPrevious},
		"second, its end is near":     {[]config.KeyRef{key(0, ""), key(near, "")}, false, SecretExpiring},
		"only, its end is near":       {[]config.KeyRef{key(near, "")}, false, SecretExpiring},
		"its end is now":              {[]config.KeyRef{key(0, ""), key(time.Nanosecond, "")}, false, SecretExpiring},
		"its end is past":             {[]config.KeyRef{key(0, ""), key(-time.Nanosecond, "")}, false, SecretExpired},
		"first of its scheme":         {[]config.KeyRef{key(0, "basic"), key(far, "bearer")}, false, SecretCurrent},
		"second of its scheme":        {[]config.KeyRef{key(0, "basic"), key(far, "basic")}, false, SecretPrevious},
		"scheme under one of all":     {[]config.KeyRef{key(0, ""), key(far, "basic")}, false, SecretPrevious},
		"failing":                     {[]config.KeyRef{key(0, "")}, true, SecretFailing},
		"failing and its end is near": {[]config.KeyRef{key(near, "")}, true, SecretFailing},
		"failing and past":            {[]config.KeyRef{key(-1, "")}, true, SecretExpired},
		"not there yet":               {[]config.KeyRef{key(0, ""), absent}, true, SecretAbsent},
	} {
		last := tc.secrets[len(tc.secrets)-1]
		status := secret.Status{Updated: now, Failing: tc.failing}
		if last.Ref == absent.Ref {
			status.Updated = time.Time{}
		}
		require.Equal(t, tc.want, stateOf(tc.secrets, len(tc.secrets)-1, map[string]secret.Status{last.Ref: status}, now), name)
	}
}
