package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// whsec is a key of 32 bytes, from the examples in the specification.
const whsec = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazAJTMRtDIM="

func newWebhooks(t testing.TB, texts ...string) *StandardWebhooks {
	t.Helper()
	keys := make([]Key, 0, len(texts))
	for i, text := range texts {
		keys = append(keys, Key{Number: i + 1, Secret: config.NewSecret(text)})
	}
	s, err := NewStandardWebhooks(keys, 5*time.Minute)
	require.NoError(t, err)
	return s
}

// library returns the reference library's verifier and signer for a key.
func library(t testing.TB, text string) *standardwebhooks.Webhook {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(text)
	require.NoError(t, err)
	return wh
}

func hooks(id, stamp, signatures string) http.Header {
	return header("webhook-id", id, "webhook-timestamp", stamp, "webhook-signature", signatures)
}

func TestWebhookSignatureForms(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good, err := library(t, whsec).Sign("msg_1", clock, body)
	require.NoError(t, err)
	wrong, err := library(t, "whsec_"+strings.Repeat("A", 44)).Sign("msg_1", clock, body)
	require.NoError(t, err)
	private := privateKey("a")
	asymmetric := signV1a(private, "msg_1."+stamp+".", body)
	stranger := signV1a(privateKey("stranger"), "msg_1."+stamp+".", body)
	for name, c := range map[string]struct {
		header string
		number int // 0: refused
	}{
		"v1":                     {good, 1},
		"v1a":                    {asymmetric, 2},
		"second of two":          {wrong + " " + good, 1},
		"several spaces":         {"  " + wrong + "   " + good + " ", 1},
		"both versions":          {asymmetric + " " + good, 1},
		"bad v1, good v1a":       {wrong + " " + asymmetric, 2},
		"good v1, bad v1a":       {stranger + " " + good, 1},
		"unknown version beside": {"v2,abc v3 " + good, 1},
		"sixteen":                {strings.Repeat("v1,x ", 15) + good, 1},
		"eight v1a":              {strings.Repeat(stranger+" ", 7) + asymmetric, 2},

		"wrong":               {wrong, 0},
		"wrong v1a":           {stranger, 0},
		"unknown version":     {"v2" + good[2:], 0},
		"upper case":          {"V1" + good[2:], 0},
		"mac as v1a":          {"v1a" + good[2:], 0},
		"v1a as v1":           {"v1" + asymmetric[3:], 0},
		"no version":          {good[3:], 0},
		"equals for comma":    {"v1=" + good[3:], 0},
		"comma for space":     {wrong + "," + good, 0},
		"a third part":        {good + ",", 0},
		"tab for space":       {wrong + "\t" + good, 0},
		"without padding":     {strings.TrimRight(good, "="), 0},
		"trailing bits":       {good[:len(good)-2] + string(good[len(good)-2]+1) + "=", 0},
		"line break":          {good[:10] + "\n" + good[10:], 0},
		"line break at end":   {good + "\r\n", 0},
		"hex":                 {"v1," + fmt.Sprintf("%x", hmacSHA256("a", "b")), 0},
		"short":               {good[:len(good)-4], 0},
		"empty":               {"", 0},
		"seventeen":           {strings.Repeat("v1,x ", 16) + good, 0},
		"nine v1a":            {strings.Repeat(stranger+" ", 8) + asymmetric, 0},
		"nine v1a, good v1":   {strings.Repeat(stranger+" ", 9) + good, 0},
		"header too long":     {good + strings.Repeat(" ", maxSignatureHeader), 0},
		"zeros":               {"v1a," + base64.StdEncoding.EncodeToString(make([]byte, 64)), 0},
		"mac of an empty key": {"v1," + base64.StdEncoding.EncodeToString(hmacSHA256("", "msg_1."+stamp+"."+string(body))), 0},
		"mac of the text of the public key": {"v1," + base64.StdEncoding.EncodeToString(
			hmacSHA256(publicText(private), "msg_1."+stamp+"."+string(body))), 0},
		"mac of the bytes of the public key": {"v1," + base64.StdEncoding.EncodeToString(
			hmacSHA256(string(private[32:]), "msg_1."+stamp+"."+string(body))), 0},
		"mac of the text of the secret": {"v1," + base64.StdEncoding.EncodeToString(
			hmacSHA256(whsec, "msg_1."+stamp+"."+string(body))), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, err := check(newWebhooks(t, whsec, publicText(private)), hooks("msg_1", stamp, c.header), body)
			if c.number > 0 {
				require.NoError(t, err)
				require.Equal(t, c.number, number)
				return
			}
			requireCode(t, err, fault.SignatureInvalid)
		})
	}
}

func TestWebhookHeaders(t *testing.T) {
	t.Parallel()
	now := clock.Unix()
	at := func(seconds int64) string { return strconv.FormatInt(seconds, 10) }

	for name, c := range map[string]struct {
		id, stamp string
		extra     http.Header
		without   string
		code      fault.Code
	}{
		"good":                {id: "msg_1", stamp: at(now)},
		"oldest":              {id: "msg_1", stamp: at(now - 300)},
		"newest":              {id: "msg_1", stamp: at(now + 300)},
		"longest id":          {id: strings.Repeat("i", 256), stamp: at(now)},
		"too old":             {id: "msg_1", stamp: at(now - 301), code: fault.TimestampStale},
		"too new":             {id: "msg_1", stamp: at(now + 301), code: fault.TimestampStale},
		"zero":                {id: "msg_1", stamp: "0", code: fault.TimestampStale},
		"milliseconds":        {id: "msg_1", stamp: at(clock.UnixMilli()), code: fault.TimestampInvalid},
		"leading zero":        {id: "msg_1", stamp: "0" + at(now), code: fault.TimestampInvalid},
		"plus":                {id: "msg_1", stamp: "+" + at(now), code: fault.TimestampInvalid},
		"point":               {id: "msg_1", stamp: at(now) + ".0", code: fault.TimestampInvalid},
		"empty timestamp":     {id: "msg_1", stamp: "", code: fault.TimestampInvalid},
		"empty id":            {id: "", stamp: at(now), code: fault.SignatureInvalid},
		"id with a full stop": {id: "msg.1", stamp: at(now), code: fault.SignatureInvalid},
		"id too long":         {id: strings.Repeat("i", 257), stamp: at(now), code: fault.SignatureInvalid},
		"no id":               {id: "msg_1", stamp: at(now), without: "webhook-id", code: fault.SignatureMissing},
		"no timestamp":        {id: "msg_1", stamp: at(now), without: "webhook-timestamp", code: fault.TimestampMissing},
		"no signature":        {id: "msg_1", stamp: at(now), without: "webhook-signature", code: fault.SignatureMissing},
		"two ids":             {id: "msg_1", stamp: at(now), extra: header("webhook-id", "msg_1"), code: fault.SignatureInvalid},
		"stale beside fresh":  {id: "msg_1", stamp: at(now), extra: header("webhook-timestamp", at(now-900)), code: fault.TimestampInvalid},
		"fresh beside stale":  {id: "msg_1", stamp: at(now - 900), extra: header("webhook-timestamp", at(now)), code: fault.TimestampInvalid},
		"two signatures":      {id: "msg_1", stamp: at(now), extra: header("webhook-signature", "v1,x"), code: fault.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mac := hmacSHA256("a", c.id+"."+c.stamp+"."+string(body))
			h := hooks(c.id, c.stamp, "v1,"+base64.StdEncoding.EncodeToString(mac))
			merge(h, c.extra)
			h.Del(c.without)
			s := newWebhooks(t, "a")
			require.True(t, s.Present(h))
			_, err := check(s, h, body)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			requireCode(t, err, c.code)
		})
	}
}

// TestWebhookPartsAreSeparate checks that bytes cannot move between id, timestamp and body.
func TestWebhookPartsAreSeparate(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	sum := "v1," + base64.StdEncoding.EncodeToString(hmacSHA256("a", "msg."+stamp+"."+stamp+"."+string(body)))
	s := newWebhooks(t, "a")
	_, err := check(s, hooks("msg", stamp, sum), append([]byte(stamp+"."), body...))
	require.NoError(t, err)
	_, err = check(s, hooks("msg."+stamp, stamp, sum), body)
	requireCode(t, err, fault.SignatureInvalid)
	_, err = check(s, hooks("msg2", stamp, sum), append([]byte(stamp+"."), body...))
	requireCode(t, err, fault.SignatureInvalid)
}

func TestWebhookKeys(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	bytesOf := func(n int) []byte { return []byte(strings.Repeat("k", n)) }
	for name, c := range map[string]struct {
		text string
		keys []string // HMAC keys that it serves as; none: an error
	}{
		"whsec_, 24":           {"whsec_" + encode(bytesOf(24)), []string{string(bytesOf(24))}},
		"whsec_, 64":           {"whsec_" + encode(bytesOf(64)), []string{string(bytesOf(64))}},
		"whsec_, 23":           {"whsec_" + encode(bytesOf(23)), nil},
		"whsec_, 65":           {"whsec_" + encode(bytesOf(65)), nil},
		"whsec_, nothing":      {"whsec_", nil},
		"whsec_, not base64":   {"whsec_***", nil},
		"text":                 {"plain text", []string{"plain text"}},
		"text that is base64":  {encode(bytesOf(24)), []string{encode(bytesOf(24)), string(bytesOf(24))}},
		"text of short base64": {encode(bytesOf(23)), []string{encode(bytesOf(23))}},
		"text of long base64":  {encode(bytesOf(65)), []string{encode(bytesOf(65))}},
		"whpk_, 31":            {"whpk_" + encode(bytesOf(31)), nil},
		"whpk_, 33":            {"whpk_" + encode(bytesOf(33)), nil},
		"whpk_, not base64":    {"whpk_***", nil},
		"whpk_, no point":      {"whpk_" + encode(append([]byte{2}, make([]byte, 31)...)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := readWebhookKey(c.text)
			if c.keys == nil {
				require.Error(t, err)
				require.NotContains(t, err.Error(), "kkk")
				require.NotContains(t, err.Error(), "a2tr")
				require.NotContains(t, err.Error(), "***")
				return
			}
			require.NoError(t, err)
			require.Len(t, key.symmetric, len(c.keys))
			for i := range c.keys {
				require.Equal(t, c.keys[i], string(key.symmetric[i]))
			}
		})
	}

	for _, point := range smallOrder {
		_, err := NewStandardWebhooks([]Key{{Number: 1, Secret: config.NewSecret(publicPrefix + point)}}, time.Minute)
		require.ErrorContains(t, err, "secret 1 is a public key of small order")
	}
}

func TestWebhookVersionsAreAllowed(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	private := privateKey("a")
	mac := "v1," + base64.StdEncoding.EncodeToString(hmacSHA256("text", "msg_1."+stamp+"."+string(body)))
	asymmetric := signV1a(private, "msg_1."+stamp+".", body)
	keys := []Key{{Number: 1, Secret: config.NewSecret("text")}, {Number: 2, Secret: config.NewSecret(publicText(private))}}

	for version, good := range map[string]string{"v1": mac, "v1a": asymmetric} {
		s, err := NewStandardWebhooks(keys, time.Minute, version, versionPlain)
		require.NoError(t, err)
		_, err = check(s, hooks("msg_1", stamp, mac+" "+asymmetric), body)
		require.NoError(t, err)
		_, err = check(s, hooks("msg_1", stamp, good), body)
		require.NoError(t, err)
		for _, other := range []string{mac, asymmetric} {
			if other != good {
				_, err = check(s, hooks("msg_1", stamp, other), body)
				requireCode(t, err, fault.SignatureInvalid)
			}
		}
	}
}

// FuzzStandardWebhooks compares with the reference library: signatures that it makes are
// accepted, and signatures that it refuses are refused.
func FuzzStandardWebhooks(f *testing.F) {
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good, err := library(f, whsec).Sign("msg_1", clock, body)
	require.NoError(f, err)
	for _, signatures := range []string{
		good, "", "v1", "v1,", "v1," + good, good + "," + good, good + " " + good, "v2" + good[2:], "V1" + good[2:], " " + good,
		good + "=", good[:len(good)-1], good + "\n", "v1a," + good[3:], strings.Repeat("v1,a ", 17) + good,
		"v1a," + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)),
	} {
		f.Add("msg_1", stamp, signatures, body)
	}

	for _, odd := range []string{"", "0" + stamp, "+" + stamp, "-" + stamp, stamp + "000", stamp + ".0", " " + stamp, "9223372036854775808", "1e9"} {
		f.Add("msg_1", odd, good, body)
	}

	for _, id := range []string{"", "msg.1", "msg_1 ", "msg_1\x00", strings.Repeat("i", 257)} {
		f.Add(id, stamp, good, body)
	}

	f.Fuzz(func(t *testing.T, id, stamp, signatures string, body []byte) {
		s, oracle := newWebhooks(t, whsec), library(t, whsec)
		h := hooks(id, stamp, signatures)
		_, err := check(s, h, body)
		if refusal := oracle.VerifyIgnoringTimestamp(body, h); refusal != nil {
			require.Error(t, err, "the library refuses: %v", refusal)
		}
		if err != nil {
			require.Contains(t, []fault.Code{fault.SignatureInvalid, fault.TimestampInvalid, fault.TimestampStale}, fault.From(err).Code)
		}
		if id == "" || len(id) > maxWebhookID || strings.Contains(id, ".") {
			require.Error(t, err)
			return
		}
		signed, err := oracle.Sign(id, clock, body)
		require.NoError(t, err)
		number, err := check(s, hooks(id, strconv.FormatInt(clock.Unix(), 10), signed), body)
		require.NoError(t, err)
		require.Equal(t, 1, number)
	})
}

// FuzzWebhookKey compares with the reference library: a whsec_ secret that is accepted here
// has the same bytes there, and no text becomes an empty key.
func FuzzWebhookKey(f *testing.F) {
	for _, seed := range []string{whsec, whsec[6:], "whsec_", "whpk_", "plain", "", "whpk_" + smallOrder[0], publicText(privateKey("a")), "whsec_whsec_AAAA"} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		key, err := readWebhookKey(text)
		if err != nil {
			require.Empty(t, key.symmetric)
			require.Nil(t, key.public)
			return
		}
		require.Equal(t, strings.HasPrefix(text, publicPrefix), key.public != nil)
		require.Equal(t, key.public == nil, len(key.symmetric) > 0)
		for _, symmetric := range key.symmetric {
			require.NotEmpty(t, symmetric)
		}
		if !strings.HasPrefix(text, symmetricPrefix) {
			return
		}
		signed, err := library(t, text).Sign("msg_1", clock, body)
		require.NoError(t, err)
		_, err = check(newWebhooks(t, text), hooks("msg_1", strconv.FormatInt(clock.Unix(), 10), signed), body)
		require.NoError(t, err)
	})
}

// FuzzSignatureFields checks that no header of timestamp-hmac-header is accepted without
// the key, and that a header with several t is refused.
func FuzzSignatureFields(f *testing.F) {
	stamp := strconv.FormatInt(clock.Unix(), 10)
	for _, seed := range []string{
		"", "t=" + stamp, "t=" + stamp + ",v1=" + strings.Repeat("ab", 32), "t=1,t=2", "T=1 t=2", "v1=,t=", "t", "=", "t==",
		strings.Repeat("v1=a,", 17), "t=" + stamp + "\t,v1=" + strings.Repeat("AB", 32),
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, line string) {
		_, err := check(newHeaderScheme(t), header("X-Provider-Signature", line), body)
		require.Error(t, err)
		stamps, candidates, ok := parseSignatureFields(line, Versions(TimestampHMACHeaderName))
		require.LessOrEqual(t, len(candidates), maxSignatures)
		if !ok {
			return
		}
		for _, stamp := range stamps {
			require.Contains(t, strings.ToLower(line), "t="+strings.ToLower(stamp))
		}
		if len(stamps) > 1 {
			require.True(t, fault.Is(err, fault.TimestampInvalid))
		}
	})
}
