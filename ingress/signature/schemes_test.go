package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

const stampHeader = "X-Signature"

// party is one scheme and a sender for it that shares no code with it.
type party struct {
	make func(keys []Key) (Scheme, error)
	// key returns the text of a key by its name.
	key func(name string) string
	// sign returns the headers that a sender with the text of a key sends at clock.
	sign func(text string, body []byte) http.Header
	// refused is the code for a wrong key.
	refused fault.Code
	// covers is whether the body is signed.
	covers bool
}

func hmacSHA256(key, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

var parties = map[string]party{
	TimestampHMACName: {
		make: func(keys []Key) (Scheme, error) { return NewTimestampHMAC(keys, 5*time.Minute) },
		key:  func(name string) string { return name },
		sign: func(text string, body []byte) http.Header {
			stamp := strconv.FormatInt(clock.Unix(), 10)
			return headers(stamp, hex.EncodeToString(hmacSHA256(text, stamp+"."+string(body))))
		},
		refused: fault.SignatureInvalid, covers: true,
	},
	TimestampHMACHeaderName: {
		make: func(keys []Key) (Scheme, error) {
			return NewTimestampHMACHeader(stampHeader, keys, 5*time.Minute)
		},
		key: func(name string) string { return name },
		sign: func(text string, body []byte) http.Header {
			stamp := strconv.FormatInt(clock.UnixMilli(), 10)
			return header(stampHeader, "t="+stamp+",v1="+hex.EncodeToString(hmacSHA256(text, stamp+"."+string(body))))
		},
		refused: fault.SignatureInvalid, covers: true,
	},
	StandardWebhooksName: {
		make: func(keys []Key) (Scheme, error) { return NewStandardWebhooks(keys, 5*time.Minute) },
		key:  func(name string) string { return name },
		sign: func(text string, body []byte) http.Header {
			stamp := strconv.FormatInt(clock.Unix(), 10)
			return header("webhook-id", "msg_1", "webhook-timestamp", stamp, "webhook-signature",
				"v1,"+base64.StdEncoding.EncodeToString(hmacSHA256(text, "msg_1."+stamp+"."+string(body))))
		},
		refused: fault.SignatureInvalid, covers: true,
	},
	"standard-webhooks, v1a": {
		make: func(keys []Key) (Scheme, error) { return NewStandardWebhooks(keys, 5*time.Minute) },
		key:  func(name string) string { return publicText(privateKey(name)) },
		sign: func(text string, body []byte) http.Header {
			stamp := strconv.FormatInt(clock.Unix(), 10)
			return header("webhook-id", "msg_1", "webhook-timestamp", stamp, "webhook-signature",
				signV1a(privateOf(text), "msg_1."+stamp+".", body))
		},
		refused: fault.SignatureInvalid, covers: true,
	},
	BasicName: {
		make: func(keys []Key) (Scheme, error) { return NewBasic(keys) },
		key:  func(name string) string { return "user:" + name },
		sign: func(text string, _ []byte) http.Header {
			return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
		},
		refused: fault.CredentialsInvalid,
	},
	BearerName: {
		make:    func(keys []Key) (Scheme, error) { return NewBearer(keys) },
		key:     func(name string) string { return name },
		sign:    func(text string, _ []byte) http.Header { return header("Authorization", "Bearer "+text) },
		refused: fault.CredentialsInvalid,
	},
}

// each runs story as a subtest for every scheme that has keys.
func each(t *testing.T, story func(t *testing.T, p party)) {
	t.Helper()
	for name, p := range parties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, p)
		})
	}
}

func (p party) scheme(t testing.TB, keys ...Key) Scheme {
	t.Helper()
	s, err := p.make(keys)
	require.NoError(t, err)
	return s
}

func (p party) secret(name string) config.Secret { return config.NewSecret(p.key(name)) }

func TestEverySchemeTriesEveryKeyUntilItExpires(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		s := p.scheme(t,
			Key{Number: 2, Secret: p.secret("new")},
			Key{Number: 3, Secret: p.secret("old"), Expires: clock.Add(time.Nanosecond)},
			Key{Number: 5, Secret: p.secret("gone"), Expires: clock},
			Key{Number: 6, Secret: p.secret("long-gone"), Expires: clock.Add(-time.Hour)},
			Key{Number: 7, Secret: p.secret("last")},
		)
		for name, number := range map[string]int{"new": 2, "old": 3, "last": 7} {
			got, err := check(s, p.sign(p.key(name), body), body)
			require.NoError(t, err, name)
			require.Equal(t, number, got, name)
		}
		for _, name := range []string{"gone", "long-gone", "stranger", "ne", "neww", "New"} {
			_, err := check(s, p.sign(p.key(name), body), body)
			requireCode(t, err, p.refused)
		}
	})
}

func TestEverySchemeRefusesWhenAllKeysHaveExpired(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		s := p.scheme(t, Key{Number: 1, Secret: p.secret("gone"), Expires: clock})
		_, err := check(s, p.sign(p.key("gone"), body), body)
		requireCode(t, err, p.refused)
	})
}

func TestEverySchemeFollowsARenewedSecret(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		secret := p.secret("first")
		s := p.scheme(t, Key{Number: 1, Secret: secret})
		_, err := check(s, p.sign(p.key("first"), body), body)
		require.NoError(t, err)

		secret.Set(p.key("second"))
		_, err = check(s, p.sign(p.key("second"), body), body)
		require.NoError(t, err)
		_, err = check(s, p.sign(p.key("first"), body), body)
		requireCode(t, err, p.refused)
	})
}

// TestARenewalInTheMiddleOfABody checks that a request is verified with the secret at its beginning.
func TestARenewalInTheMiddleOfABody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		secret := p.secret("first")
		s := p.scheme(t, Key{Number: 1, Secret: secret})
		v, err := s.Begin(p.sign(p.key("first"), body), clock)
		require.NoError(t, err)
		_, _ = v.Write(body[:5])
		secret.Set(p.key("second"))
		_, _ = v.Write(body[5:])
		number, err := v.Verify()
		require.NoError(t, err)
		require.Equal(t, 1, number)
	})
}

// TestASecretThatBecomesUnusableMatchesNothing renews secrets to texts that are refused at the start.
func TestASecretThatBecomesUnusableMatchesNothing(t *testing.T) {
	t.Parallel()
	public := publicText(privateKey("unrelated"))

	for text, senders := range map[string][]string{
		"":                      {"", ":", "user:"},
		"whsec_":                {"", "whsec_"},
		"whsec_c2hvcnQ=":        {"whsec_c2hvcnQ=", "short"},
		"whsec_not base64":      {"whsec_not base64"},
		"whpk_":                 {"", "whpk_"},
		"whpk_AAAA":             {"whpk_AAAA", "\x00\x00\x00"},
		"whpk_" + smallOrder[0]: {"whpk_" + smallOrder[0]},
		public:                  {public},
	} {
		each(t, func(t *testing.T, p party) {
			secret := p.secret("first")
			s := p.scheme(t, Key{Number: 1, Secret: secret})
			secret.Set(text)
			for _, sender := range append(senders, p.key("first")) {
				if privateOf(sender) == nil && p.key("x") == publicText(privateKey("x")) {
					continue // has no private key to sign with
				}
				_, err := check(s, p.sign(sender, body), body)
				if sender == text && sender == public && strings.HasPrefix(p.key("x"), publicPrefix) {
					require.NoError(t, err) // a good public key for the scheme of public keys
					continue
				}
				requireCode(t, err, p.refused)
			}
		})
	}
}

func TestEverySchemeSignsTheExactBody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		if !p.covers {
			t.Skip("this scheme does not sign the body")
		}

		s := p.scheme(t, Key{Number: 1, Secret: p.secret("a")})
		h := p.sign(p.key("a"), body)
		for name, other := range map[string][]byte{
			"nothing":        nil,
			"one byte more":  append(append([]byte(nil), body...), ' '),
			"one byte less":  body[:len(body)-1],
			"one bit":        append([]byte{body[0] ^ 1}, body[1:]...),
			"another prefix": append([]byte("."), body...),
			"twice":          append(append([]byte(nil), body...), body...),
		} {
			_, err := check(s, h, other)
			require.True(t, fault.Is(err, fault.SignatureInvalid), name)
		}

		empty := p.sign(p.key("a"), nil)
		_, err := check(s, empty, nil)
		require.NoError(t, err)
	})
}

// TestEveryBitOfASignatureCounts flips each bit of the signature in turn.
func TestEveryBitOfASignatureCounts(t *testing.T) {
	t.Parallel()
	stamp := strconv.FormatInt(clock.Unix(), 10)
	sum := hmacSHA256("a", stamp+"."+string(body))
	hooks := hmacSHA256("a", "msg_1."+stamp+"."+string(body))
	keys := []Key{{Number: 1, Secret: config.NewSecret("a")}}

	for i := range len(sum) * 8 {
		flip := func(sum []byte) []byte {
			out := append([]byte(nil), sum...)
			out[i/8] ^= 1 << (i % 8)
			return out
		}
		for name, h := range map[string]http.Header{
			TimestampHMACName:       headers(stamp, hex.EncodeToString(flip(sum))),
			TimestampHMACHeaderName: header(stampHeader, "t="+stamp+",v1="+hex.EncodeToString(flip(sum))),
			StandardWebhooksName: header("webhook-id", "msg_1", "webhook-timestamp", stamp,
				"webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(flip(hooks))),
		} {
			_, err := check(parties[name].scheme(t, keys...), h, body)
			require.True(t, fault.Is(err, fault.SignatureInvalid), "%s, bit %d", name, i)
		}
	}
}

// TestHeadersOfAnUnlistedSchemeNeverHelp sends, for each pair of schemes, a request
// that is valid under the one that is not listed.
func TestHeadersOfAnUnlistedSchemeNeverHelp(t *testing.T) {
	t.Parallel()
	for listed, p := range parties {
		for unlisted, q := range parties {
			if strings.HasPrefix(listed, StandardWebhooksName) && strings.HasPrefix(unlisted, StandardWebhooksName) {
				continue
			}
			if listed == unlisted {
				continue
			}
			t.Run(unlisted+" where "+listed+" is listed", func(t *testing.T) {
				t.Parallel()
				schemes := []Scheme{p.scheme(t, Key{Number: 1, Secret: p.secret("a")})}
				foreign := q.sign(q.key("a"), body)
				_, err := check(q.scheme(t, Key{Number: 1, Secret: q.secret("a")}), foreign, body)
				require.NoError(t, err, "the request is valid under the other scheme")

				s, err := Select(schemes, foreign)
				require.NoError(t, err)
				_, err = check(s, foreign, body)
				require.Contains(t, []fault.Code{fault.SignatureMissing, fault.CredentialsMissing}, fault.From(err).Code)

				// Nor do they help a bad signature of the listed scheme, or hurt a good one.
				both := p.sign(p.key("wrong"), body)
				merge(both, foreign)
				if s, err = Select(schemes, both); err == nil {
					_, err = check(s, both, body)
				}
				require.Contains(t, []fault.Code{fault.SignatureInvalid, fault.CredentialsInvalid}, fault.From(err).Code)
				good := p.sign(p.key("a"), body)
				if merge(good, foreign); len(good[authorizationHeader]) > 1 {
					return // two Authorization lines are refused as such
				}
				s, err = Select(schemes, good)
				require.NoError(t, err)
				_, err = check(s, good, body)
				require.NoError(t, err)
			})
		}
	}
}

// TestHeadersOfTwoListedSchemesAreRefused checks that a sender cannot choose between two schemes.
func TestHeadersOfTwoListedSchemesAreRefused(t *testing.T) {
	t.Parallel()
	for first, p := range parties {
		for second, q := range parties {
			a, b := p.scheme(t, Key{Number: 1, Secret: p.secret("a")}), q.scheme(t, Key{Number: 1, Secret: q.secret("a")})
			if a.Name() == b.Name() {
				continue
			}
			h := p.sign(p.key("a"), body)
			merge(h, q.sign(q.key("a"), body))
			_, err := Select([]Scheme{a, b}, h)
			require.True(t, fault.Is(err, fault.SignatureInvalid), "%s and %s", first, second)
			one, err := Select([]Scheme{a, b}, q.sign(q.key("a"), body))
			require.NoError(t, err)
			require.Equal(t, b.Name(), one.Name())
		}
	}
}

func merge(h, other http.Header) {
	for name, lines := range other {
		h[name] = append(h[name], lines...)
	}
}

func TestConstructorsFailClosed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p party) {
		_, err := p.make(nil)
		require.ErrorContains(t, err, "no secret is configured for this scheme")
		_, err = p.make([]Key{{Number: 1, Secret: p.secret("a")}, {Number: 2}})
		require.ErrorContains(t, err, "secret 2 is empty")
	})

	for _, name := range []string{TimestampHMACName, TimestampHMACHeaderName, BasicName, BearerName} {
		for _, text := range []string{"whsec_user:" + strings.Repeat("A", 44), publicText(privateKey("a")) + ":x"} {
			_, err := parties[name].make([]Key{{Number: 4, Secret: config.NewSecret(text)}})
			require.ErrorContains(t, err, "secret 4 begins with whsec_ or whpk_", name)
			require.NotContains(t, err.Error(), "AAAA")
		}
	}

	keys := []Key{{Number: 1, Secret: config.NewSecret("a")}}
	_, err := NewTimestampHMACHeader("", keys, time.Minute)
	require.ErrorContains(t, err, "name of the header")
	_, err = NewTimestampHMACHeader(stampHeader, keys, -1)
	require.ErrorContains(t, err, "tolerance")
	_, err = NewStandardWebhooks(keys, 0)
	require.ErrorContains(t, err, "tolerance")
	_, err = NewTimestampHMAC(keys, time.Minute, versionV1a)
	require.ErrorContains(t, err, "signature versions v1a")
	_, err = NewTimestampHMACHeader(stampHeader, keys, time.Minute, versionPlain, versionSHA256)
	require.ErrorContains(t, err, "signature versions plain, sha256")
	_, err = NewStandardWebhooks(keys, time.Minute, versionV1a)
	require.ErrorContains(t, err, "no configured secret can verify the signature versions v1a")
	_, err = NewStandardWebhooks([]Key{{Number: 1, Secret: config.NewSecret(publicText(privateKey("a")))}}, time.Minute, versionV1)
	require.ErrorContains(t, err, "no configured secret can verify the signature versions v1")
}

func TestNone(t *testing.T) {
	t.Parallel()
	require.False(t, None{}.Present(headers("1", "2")))
	s, err := Select([]Scheme{None{}}, headers("1", "2"))
	require.NoError(t, err)
	number, err := check(s, http.Header{}, body)
	require.NoError(t, err)
	require.Zero(t, number)
	require.Equal(t, NoneName, s.Name())
}

// TestMisplacedPublicKeyIsNoSecret checks that a public key in the wrong form does not
// become the key of a MAC, at the start or later.
func TestMisplacedPublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		" whpk_AAAA", "\ufeffwhpk_AAAA", `"whpk_AAAA"`, "WHPK_AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
	} {
		key := Key{Number: 1, Secret: config.NewSecret(text)}
		_, err := NewStandardWebhooks([]Key{key}, time.Minute)
		require.ErrorContains(t, err, "public key", text)
		_, err = NewTimestampHMAC([]Key{key}, time.Minute)
		require.ErrorContains(t, err, "public key", text)
		require.Empty(t, live([]Key{key}, time.Now(), isAnything), text)
	}
}
