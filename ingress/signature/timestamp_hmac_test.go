package signature

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

const secret = "current-secret"

var (
	clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	body  = []byte(`{"event_id":"evt_1","text":"` + "\xff\x00" + `"}`)
)

func newScheme(t *testing.T, keys ...Key) *TimestampHMAC {
	t.Helper()
	if len(keys) == 0 {
		keys = []Key{{Number: 1, Secret: config.NewSecret(secret)}}
	}
	s, err := NewTimestampHMAC(keys, 5*time.Minute)
	require.NoError(t, err)
	return s
}

func headers(timestamp, signature string) http.Header {
	h := http.Header{}
	h.Set(signing.TimestampHeader, timestamp)
	h.Set(signing.SignatureHeader, signature)
	return h
}

// check verifies a request whose body is written in small pieces.
func check(s Scheme, h http.Header, body []byte) (int, error) {
	v, err := s.Begin(h, clock)
	if err != nil {
		return 0, err
	}
	for len(body) > 0 {
		n := min(7, len(body))
		if _, err := v.Write(body[:n]); err != nil {
			return 0, err
		}
		body = body[n:]
	}
	return v.Verify()
}

func requireCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, fault.From(err).Code)
}

func TestSignatureForms(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good := signing.TimestampHMAC(secret, stamp, body)
	wrong := signing.TimestampHMAC("other", stamp, body)
	for name, c := range map[string]struct {
		header string
		code   fault.Code // empty: accepted
	}{
		"plain":                  {header: good},
		"upper case":             {header: strings.ToUpper(good)},
		"v1":                     {header: "v1=" + good},
		"sha256":                 {header: "sha256=" + strings.ToUpper(good)},
		"prefix in upper case":   {header: "SHA256=" + good},
		"second of two, comma":   {header: wrong + "," + good},
		"second of two, space":   {header: wrong + " " + good},
		"comma and space":        {header: "v1=" + wrong + ", v1=" + good},
		"unknown version beside": {header: "v9=" + wrong + ",v1=" + good},
		"broken one beside":      {header: "zz," + good},
		"sixteen":                {header: strings.Repeat(wrong+",", 15) + good},

		"wrong":             {header: wrong, code: fault.SignatureInvalid},
		"unknown version":   {header: "v2=" + good, code: fault.SignatureInvalid},
		"unknown algorithm": {header: "sha512=" + good, code: fault.SignatureInvalid},
		"doubled prefix":    {header: "v1=v1=" + good, code: fault.SignatureInvalid},
		"empty prefix":      {header: "=" + good, code: fault.SignatureInvalid},
		"short":             {header: good[:62], code: fault.SignatureInvalid},
		"odd":               {header: good[:63], code: fault.SignatureInvalid},
		"long":              {header: good + "00", code: fault.SignatureInvalid},
		"not hex":           {header: strings.Repeat("zz", 32), code: fault.SignatureInvalid},
		"empty":             {header: "", code: fault.SignatureInvalid},
		"separators only":   {header: " , ,, ", code: fault.SignatureInvalid},
		"seventeen":         {header: strings.Repeat(wrong+",", 16) + good, code: fault.SignatureInvalid},
		"header too long":   {header: good + strings.Repeat(" ", maxSignatureHeader), code: fault.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, err := check(newScheme(t), headers(stamp, c.header), body)
			if c.code == "" {
				require.NoError(t, err)
				require.Equal(t, 1, number)
				return
			}
			requireCode(t, err, c.code)
		})
	}
}

func TestTimestampForms(t *testing.T) {
	t.Parallel()
	seconds := clock.Unix()
	millis := clock.UnixMilli()

	for name, c := range map[string]struct {
		stamp string
		code  fault.Code
	}{
		"seconds":             {stamp: strconv.FormatInt(seconds, 10)},
		"milliseconds":        {stamp: strconv.FormatInt(millis, 10)},
		"leading zero":        {stamp: "0" + strconv.FormatInt(seconds, 10)},
		"oldest":              {stamp: strconv.FormatInt(seconds-300, 10)},
		"newest":              {stamp: strconv.FormatInt(seconds+300, 10)},
		"oldest, millis":      {stamp: strconv.FormatInt(millis-300_000, 10)},
		"too old":             {stamp: strconv.FormatInt(seconds-301, 10), code: fault.TimestampStale},
		"too old, millis":     {stamp: strconv.FormatInt(millis-300_001, 10), code: fault.TimestampStale},
		"too new":             {stamp: strconv.FormatInt(seconds+301, 10), code: fault.TimestampStale},
		"too new, millis":     {stamp: strconv.FormatInt(millis+300_001, 10), code: fault.TimestampStale},
		"zero":                {stamp: "0", code: fault.TimestampStale},
		"biggest":             {stamp: "9999999999999999", code: fault.TimestampStale},
		"seventeen digits":    {stamp: "0" + strings.Repeat("9", 16), code: fault.TimestampInvalid},
		"empty":               {stamp: "", code: fault.TimestampInvalid},
		"NaN":                 {stamp: "NaN", code: fault.TimestampInvalid},
		"exponent":            {stamp: "1e12", code: fault.TimestampInvalid},
		"negative":            {stamp: "-" + strconv.FormatInt(seconds, 10), code: fault.TimestampInvalid},
		"plus":                {stamp: "+" + strconv.FormatInt(seconds, 10), code: fault.TimestampInvalid},
		"point":               {stamp: strconv.FormatInt(seconds, 10) + ".0", code: fault.TimestampInvalid},
		"space":               {stamp: " " + strconv.FormatInt(seconds, 10), code: fault.TimestampInvalid},
		"underscore":          {stamp: "1_772_366_400", code: fault.TimestampInvalid},
		"hex":                 {stamp: "0x69A42DC0", code: fault.TimestampInvalid},
		"other digits":        {stamp: "١٧٧٢٣٦٦٤٠٠", code: fault.TimestampInvalid},
		"date":                {stamp: "2026-03-01T12:00:00Z", code: fault.TimestampInvalid},
		"list of two":         {stamp: strconv.FormatInt(seconds, 10) + ",1", code: fault.TimestampInvalid},
		"infinity":            {stamp: "Infinity", code: fault.TimestampInvalid},
		"64 bits overflowing": {stamp: "18446744073709551616", code: fault.TimestampInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := check(newScheme(t), headers(c.stamp, signing.TimestampHMAC(secret, c.stamp, body)), body)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			requireCode(t, err, c.code)
		})
	}
}

func TestHeaderLines(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	good := signing.TimestampHMAC(secret, stamp, body)
	s := newScheme(t)

	_, err := check(s, http.Header{}, body)
	requireCode(t, err, fault.SignatureMissing)
	require.False(t, s.Present(http.Header{}))

	h := headers(stamp, good)
	h.Del(signing.TimestampHeader)
	_, err = check(s, h, body)
	requireCode(t, err, fault.TimestampMissing)
	require.True(t, s.Present(h))

	h = headers(stamp, good)
	h.Add(signing.TimestampHeader, stamp)
	_, err = check(s, h, body)
	requireCode(t, err, fault.TimestampInvalid)

	// Several signature lines are one list.
	h = headers(stamp, "v1=00")
	h.Add(signing.SignatureHeader, good)
	_, err = check(s, h, body)
	require.NoError(t, err)
}

func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	seconds := strconv.FormatInt(clock.Unix(), 10)
	s := newScheme(t)
	for name, c := range map[string]struct{ stamp, signature string }{
		"another body":             {seconds, signing.TimestampHMAC(secret, seconds, append([]byte(" "), body...))},
		"another timestamp":        {seconds, signing.TimestampHMAC(secret, "0"+seconds, body)},
		"the body alone":           {seconds, signing.TimestampHMAC(secret, "", body)},
		"the unit changed":         {seconds + "000", signing.TimestampHMAC(secret, seconds, body)},
		"full stop moved to a gap": {seconds, signing.TimestampHMAC(secret, seconds+".", body)},
		"an empty key":             {seconds, signing.TimestampHMAC("", seconds, body)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := check(s, headers(c.stamp, c.signature), body)
			requireCode(t, err, fault.SignatureInvalid)
		})
	}
}

func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	s := newScheme(t,
		Key{Number: 1, Secret: config.NewSecret("new")},
		Key{Number: 2, Secret: config.NewSecret("old"), Expires: clock.Add(time.Second)},
		Key{Number: 3, Secret: config.NewSecret("gone"), Expires: clock},
	)
	for key, number := range map[string]int{"new": 1, "old": 2} {
		got, err := check(s, headers(stamp, signing.TimestampHMAC(key, stamp, body)), body)
		require.NoError(t, err)
		require.Equal(t, number, got)
	}
	_, err := check(s, headers(stamp, signing.TimestampHMAC("gone", stamp, body)), body)
	requireCode(t, err, fault.SignatureInvalid)

	// With every key expired nothing passes, not even a MAC of zeros.
	s = newScheme(t, Key{Number: 1, Secret: config.NewSecret("gone"), Expires: clock})
	_, err = check(s, headers(stamp, strings.Repeat("00", sha256.Size)), body)
	requireCode(t, err, fault.SignatureInvalid)
}

func TestNewTimestampHMACFailsClosed(t *testing.T) {
	t.Parallel()
	_, err := NewTimestampHMAC(nil, time.Minute)
	require.Error(t, err)
	_, err = NewTimestampHMAC([]Key{{Number: 1, Secret: config.NewSecret("a")}, {Number: 2}}, time.Minute)
	require.ErrorContains(t, err, "secret 2")
	_, err = NewTimestampHMAC([]Key{{Number: 1, Secret: config.NewSecret("a")}}, 0)
	require.ErrorContains(t, err, "tolerance")
}

// present is a scheme whose headers every request has.
type present struct{ Scheme }

func (present) Present(http.Header) bool { return true }

func TestSelect(t *testing.T) {
	t.Parallel()
	s := newScheme(t)
	_, err := Select(nil, http.Header{})
	requireCode(t, err, fault.SignatureInvalid)

	got, err := Select([]Scheme{s}, http.Header{})
	require.NoError(t, err)
	require.Same(t, s, got)

	other := present{}
	got, err = Select([]Scheme{s, other}, http.Header{})
	require.NoError(t, err)
	require.Equal(t, other, got)

	_, err = Select([]Scheme{s, other}, headers("1", "2"))
	requireCode(t, err, fault.SignatureInvalid)
}
