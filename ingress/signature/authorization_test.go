package signature

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

func TestBasicForms(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	good := encode([]byte("user:pass:word"))

	for name, c := range map[string]struct {
		lines   []string
		code    fault.Code // empty: accepted
		present bool
	}{
		"good":              {[]string{"Basic " + good}, "", true},
		"lower case":        {[]string{"basic " + good}, "", true},
		"two spaces":        {[]string{"BASIC  " + good + " "}, "", true},
		"missing":           {nil, fault.CredentialsMissing, false},
		"empty":             {[]string{""}, fault.CredentialsMissing, false},
		"another scheme":    {[]string{"Bearer " + good}, fault.CredentialsMissing, false},
		"longer word":       {[]string{"Basics " + good}, fault.CredentialsMissing, false},
		"tab":               {[]string{"Basic\t" + good}, fault.CredentialsMissing, false},
		"no word":           {[]string{good}, fault.CredentialsMissing, false},
		"word alone":        {[]string{"Basic"}, fault.CredentialsInvalid, true},
		"nothing after":     {[]string{"Basic "}, fault.CredentialsInvalid, true},
		"twice":             {[]string{"Basic " + good, "Basic " + good}, fault.CredentialsInvalid, true},
		"another beside":    {[]string{"Bearer x", "Basic " + good}, fault.CredentialsInvalid, true},
		"not base64":        {[]string{"Basic user:pass:word"}, fault.CredentialsInvalid, true},
		"without padding":   {[]string{"Basic " + strings.TrimRight(encode([]byte("user:pass:wor")), "=")}, fault.CredentialsInvalid, true},
		"wrong password":    {[]string{"Basic " + encode([]byte("user:pass:wore"))}, fault.CredentialsInvalid, true},
		"prefix":            {[]string{"Basic " + encode([]byte("user:pass"))}, fault.CredentialsInvalid, true},
		"longer":            {[]string{"Basic " + encode([]byte("user:pass:word "))}, fault.CredentialsInvalid, true},
		"wrong user":        {[]string{"Basic " + encode([]byte("User:pass:word"))}, fault.CredentialsInvalid, true},
		"colon elsewhere":   {[]string{"Basic " + encode([]byte("userp:ass:word"))}, fault.CredentialsInvalid, true},
		"user and password": {[]string{"Basic " + encode([]byte(":"))}, fault.CredentialsInvalid, true},
		"two in one line":   {[]string{"Basic " + good + ", Basic " + good}, fault.CredentialsInvalid, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewBasic([]Key{{Number: 3, Secret: config.NewSecret("user:pass:word")}})
			require.NoError(t, err)
			requireAuthorization(t, s, c.lines, c.code, c.present)
		})
	}
}

func TestBearerForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines   []string
		code    fault.Code // empty: accepted
		present bool
	}{
		"good":            {[]string{"Bearer token-1"}, "", true},
		"upper case":      {[]string{"BEARER token-1"}, "", true},
		"two spaces":      {[]string{"bearer  token-1 "}, "", true},
		"missing":         {nil, fault.CredentialsMissing, false},
		"another scheme":  {[]string{"Basic token-1"}, fault.CredentialsMissing, false},
		"no word":         {[]string{"token-1"}, fault.CredentialsMissing, false},
		"word alone":      {[]string{"Bearer"}, fault.CredentialsInvalid, true},
		"nothing after":   {[]string{"Bearer "}, fault.CredentialsInvalid, true},
		"twice":           {[]string{"Bearer token-1", "Bearer token-1"}, fault.CredentialsInvalid, true},
		"another beside":  {[]string{"Bearer token-1", "Basic x"}, fault.CredentialsInvalid, true},
		"two in one line": {[]string{"Bearer x, Bearer token-1"}, fault.CredentialsInvalid, true},
		"wrong":           {[]string{"Bearer token-2"}, fault.CredentialsInvalid, true},
		"prefix":          {[]string{"Bearer token-"}, fault.CredentialsInvalid, true},
		"longer":          {[]string{"Bearer token-11"}, fault.CredentialsInvalid, true},
		"other case":      {[]string{"Bearer Token-1"}, fault.CredentialsInvalid, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewBearer([]Key{{Number: 3, Secret: config.NewSecret("token-1")}})
			require.NoError(t, err)
			requireAuthorization(t, s, c.lines, c.code, c.present)
		})
	}
}

// requireAuthorization also checks that a refusal comes from Begin, before the body.
func requireAuthorization(t *testing.T, s Scheme, lines []string, code fault.Code, present bool) {
	t.Helper()
	h := header()
	if lines != nil {
		h["Authorization"] = lines
	}
	require.Equal(t, present, s.Present(h))
	v, err := s.Begin(h, clock)
	if code != "" {
		requireCode(t, err, code)
		require.Nil(t, v)
		return
	}
	require.NoError(t, err)
	number, err := v.Verify()
	require.NoError(t, err)
	require.Equal(t, 3, number)
}

func TestCredentialsThatCannotBeSentAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"user", "user:", ":"} {
		_, err := NewBasic([]Key{{Number: 2, Secret: config.NewSecret(text)}})
		require.ErrorContains(t, err, "secret 2 must be user:password")
	}
	for _, text := range []string{"two words", "line\n", "tab\t", "schlüssel", " "} {
		_, err := NewBearer([]Key{{Number: 2, Secret: config.NewSecret(text)}})
		require.ErrorContains(t, err, "secret 2 must be visible ASCII")
		require.NotContains(t, err.Error(), "words")
	}
}

// FuzzAuthorization checks that only the header with the secret is accepted, and that a
// missing header is told from a wrong one.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{
		"", "Basic", "Basic ", "Basic dXNlcjpwYXNz", "bearer token", "Bearer  token ", "Basic \x00", "Bearer\ttoken",
		"Basic Basic dXNlcjpwYXNz", "Negotiate a, Basic b",
	} {
		f.Add(seed, "")
		f.Add(seed, "Bearer x")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		h := header("Authorization", first)
		if second != "" {
			h.Add("Authorization", second)
		}
		basic, err := NewBasic([]Key{{Number: 1, Secret: config.NewSecret("user:never sent")}})
		require.NoError(t, err)
		_, err = basic.Begin(h, clock)
		require.Equal(t, !basic.Present(h), fault.Is(err, fault.CredentialsMissing))
		require.Equal(t, basic.Present(h), fault.Is(err, fault.CredentialsInvalid))

		bearer, err := NewBearer([]Key{{Number: 1, Secret: config.NewSecret("never-sent")}})
		require.NoError(t, err)
		_, err = bearer.Begin(h, clock)
		require.Equal(t, !bearer.Present(h), fault.Is(err, fault.CredentialsMissing))
		require.Equal(t, bearer.Present(h), fault.Is(err, fault.CredentialsInvalid))

		if second != "" {
			return
		}
		// With the right secret behind any word, only the right word passes.
		word, _, _ := strings.Cut(first, " ")
		_, err = bearer.Begin(header("Authorization", word+" never-sent"), clock)
		require.Equal(t, strings.EqualFold(word, "bearer"), err == nil)
	})
}
