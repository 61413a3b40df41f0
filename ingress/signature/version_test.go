package signature

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

func TestVersionsAreAllowed(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good, wrong := signing.TimestampHMAC(secret, stamp, body), signing.TimestampHMAC("other", stamp, body)

	for name, c := range map[string]struct {
		allowed []string
		header  string
		refused bool
	}{
		"all, plain":                    {nil, good, false},
		"plain alone":                   {[]string{"plain"}, good, false},
		"v1 where plain counts":         {[]string{"plain"}, "v1=" + good, true},
		"plain where v1 counts":         {[]string{"v1"}, good, true},
		"sha256 where v1 counts":        {[]string{"v1"}, "sha256=" + good, true},
		"v1 where v1 counts":            {[]string{"v1"}, "V1=" + good, false},
		"v1 where v1 and sha256 count":  {[]string{"sha256", "v1"}, "v1=" + good, false},
		"good of another, bad of it":    {[]string{"v1"}, "v1=" + wrong + "," + good, true},
		"another beside":                {[]string{"v1"}, wrong + ",v1=" + good, false},
		"a version of another scheme":   {[]string{"v1", "v1a"}, "v1a=" + good, true},
		"plain written out":             {nil, "plain=" + good, true},
		"plain written out and allowed": {[]string{"plain"}, "PLAIN=" + good, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewTimestampHMAC([]Key{{Number: 1, Secret: config.NewSecret(secret)}}, time.Minute, c.allowed...)
			require.NoError(t, err)
			_, err = check(s, headers(stamp, c.header), body)
			if !c.refused {
				require.NoError(t, err)
				return
			}
			requireCode(t, err, fault.SignatureInvalid)
		})
	}
}
