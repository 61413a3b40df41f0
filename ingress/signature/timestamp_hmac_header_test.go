package signature

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

func newHeaderScheme(t testing.TB) *TimestampHMACHeader {
	t.Helper()
	s, err := NewTimestampHMACHeader("x-provider-SIGNATURE", []Key{{Number: 1, Secret: config.NewSecret(secret)}}, 5*time.Minute)
	require.NoError(t, err)
	return s
}

func TestSignatureFields(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	millis := strconv.FormatInt(clock.UnixMilli(), 10)
	good := signing.TimestampHMAC(secret, stamp, body)
	wrong := signing.TimestampHMAC("other", stamp, body)
	old := strconv.FormatInt(clock.Unix()-301, 10)
	for name, c := range map[string]struct {
		header string
		code   fault.Code // empty: accepted
	}{
		"seconds":              {header: "t=" + stamp + ",v1=" + good},
		"milliseconds":         {header: "t=" + millis + ",v1=" + signing.TimestampHMAC(secret, millis, body)},
		"another order":        {header: "v1=" + good + ",t=" + stamp},
		"spaces":               {header: "t=" + stamp + ", v1=" + good},
		"upper case":           {header: "T=" + stamp + ",V1=" + strings.ToUpper(good)},
		"second of two":        {header: "t=" + stamp + ",v1=" + wrong + ",v1=" + good},
		"unknown beside":       {header: "t=" + stamp + ",v0=" + wrong + ",v1=" + good + ",x=1,y"},
		"sixteen":              {header: "t=" + stamp + strings.Repeat(",v1=00", 15) + ",v1=" + good},
		"leading zero, signed": {header: "t=0" + stamp + ",v1=" + signing.TimestampHMAC(secret, "0"+stamp, body)},

		"wrong":               {header: "t=" + stamp + ",v1=" + wrong, code: fault.SignatureInvalid},
		"unknown version":     {header: "t=" + stamp + ",v0=" + good, code: fault.SignatureInvalid},
		"plain":               {header: "t=" + stamp + "," + good, code: fault.SignatureInvalid},
		"sha256":              {header: "t=" + stamp + ",sha256=" + good, code: fault.SignatureInvalid},
		"no signature":        {header: "t=" + stamp, code: fault.SignatureInvalid},
		"empty":               {header: "", code: fault.TimestampMissing},
		"no t":                {header: "v1=" + good, code: fault.TimestampMissing},
		"t without a value":   {header: "t,v1=" + good, code: fault.TimestampMissing},
		"t beside its value":  {header: "t = " + stamp + ",v1=" + good, code: fault.TimestampMissing},
		"empty t":             {header: "t=,v1=" + good, code: fault.TimestampInvalid},
		"t twice, same":       {header: "t=" + stamp + ",t=" + stamp + ",v1=" + good, code: fault.TimestampInvalid},
		"stale t, then fresh": {header: "t=" + old + ",t=" + stamp + ",v1=" + good, code: fault.TimestampInvalid},
		"t in both cases":     {header: "t=" + stamp + ",T=" + old + ",v1=" + good, code: fault.TimestampInvalid},
		"t with a sign":       {header: "t=+" + stamp + ",v1=" + good, code: fault.TimestampInvalid},
		"t with an exponent":  {header: "t=1e12,v1=" + good, code: fault.TimestampInvalid},
		"t doubled":           {header: "t=t=" + stamp + ",v1=" + good, code: fault.TimestampInvalid},
		"stale":               {header: "t=" + old + ",v1=" + signing.TimestampHMAC(secret, old, body), code: fault.TimestampStale},
		"unit changed":        {header: "t=" + millis + ",v1=" + good, code: fault.SignatureInvalid},
		"an empty key":        {header: "t=" + stamp + ",v1=" + signing.TimestampHMAC("", stamp, body), code: fault.SignatureInvalid},
		"seventeen":           {header: "t=" + stamp + strings.Repeat(",v1=00", 16) + ",v1=" + good, code: fault.SignatureInvalid},
		"too long":            {header: "t=" + stamp + ",v1=" + good + strings.Repeat(" ", maxSignatureHeader), code: fault.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, err := check(newHeaderScheme(t), header("X-Provider-Signature", c.header), body)
			if c.code == "" {
				require.NoError(t, err)
				require.Equal(t, 1, number)
				return
			}
			requireCode(t, err, c.code)
		})
	}
}

func TestSignatureHeaderStandsOnce(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good := "t=" + stamp + ",v1=" + signing.TimestampHMAC(secret, stamp, body)
	s := newHeaderScheme(t)

	_, err := check(s, header("X-Signature", good), body)
	requireCode(t, err, fault.SignatureMissing)
	require.False(t, s.Present(header("X-Signature", good)))

	h := header("X-Provider-Signature", good, "X-Provider-Signature", good)
	require.True(t, s.Present(h))
	_, err = check(s, h, body)
	requireCode(t, err, fault.SignatureInvalid)
}
