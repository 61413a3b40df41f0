package seal_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/seal"
)

func rawKey(n byte) []byte { return bytes.Repeat([]byte{n}, seal.KeySize) }

func key(id string, n byte) config.EncryptionKey {
	return config.EncryptionKey{ID: id, Key: config.NewSecret(hex.EncodeToString(rawKey(n)))}
}

func ring(t testing.TB, keys ...config.EncryptionKey) seal.Keyring {
	t.Helper()
	r, err := seal.New(config.Encryption{Keys: keys})
	require.NoError(t, err)
	return r
}

const limit = 1 << 20

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	old, fresh := key("2025", 1), key("2026", 2)
	both, body := ring(t, fresh, old), []byte(`{"event_id":"evt_1","text":"`+strings.Repeat("hello ", 100)+`"}`)
	for name, r := range map[string]seal.Keyring{"no keys": {}, "one key": ring(t, old), "two keys": both} {
		for _, plain := range [][]byte{body, {}, {0}} {
			s, err := r.Seal(plain)
			require.NoError(t, err, name)
			require.NotContains(t, string(s.Data), "hello", name)
			got, err := r.Open(s, int64(len(plain)))
			require.NoError(t, err, name)
			require.Equal(t, plain, append([]byte{}, got...), name)
		}
	}
	s, err := ring(t, old).Seal(body)
	require.NoError(t, err)
	require.Equal(t, "2025", s.KeyID)
	require.Less(t, len(s.Data), len(body), "it is compressed")
	again, err := ring(t, old).Seal(body)
	require.NoError(t, err)
	require.NotEqual(t, s.Data, again.Data, "the nonce is random")
	got, err := both.Open(s, limit)
	require.NoError(t, err, "every key opens")
	require.Equal(t, body, got)
	s, err = both.Seal(body)
	require.NoError(t, err)
	require.Equal(t, "2026", s.KeyID, "the first key seals")

	s, err = seal.Keyring{}.Seal(body)
	require.NoError(t, err)
	require.Empty(t, s.KeyID)
	got, err = both.Open(s, limit)
	require.NoError(t, err, "an ingress without keys may have written it")
	require.Equal(t, body, got)
}

func TestSpellingsOfAKey(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xff, 0x01, 0x02}, seal.KeySize/4)
	s, err := ring(t, config.EncryptionKey{ID: "k", Key: config.NewSecret(hex.EncodeToString(raw))}).Seal([]byte("x"))
	require.NoError(t, err)
	for _, good := range []string{
		strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw) + "\n",
	} {
		got, err := ring(t, config.EncryptionKey{ID: "k", Key: config.NewSecret(good)}).Open(s, limit)
		require.NoError(t, err)
		require.Equal(t, "x", string(got))
	}
	for _, bad := range []string{
		"", "short", hex.EncodeToString(raw[1:]), base64.StdEncoding.EncodeToString(append(raw, 1)), strings.Repeat("g", 64),
		base64.StdEncoding.EncodeToString(raw[1:]), hex.EncodeToString(raw) + "00",
	} {
		_, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{{ID: "mine", Key: config.NewSecret(bad)}}})
		require.ErrorContains(t, err, `"mine"`)
		if bad != "" {
			require.NotContains(t, err.Error(), bad)
		}
	}
	_, err = seal.New(config.Encryption{Keys: []config.EncryptionKey{key("a", 1), key("a", 2)}})
	require.Error(t, err)
	_, err = seal.New(config.Encryption{Keys: []config.EncryptionKey{key("", 1)}})
	require.Error(t, err)
}

// TestRenewedKey: a rotated key takes effect at once, and an invalid one neither leads
// to unencrypted content nor to the loss of content that waits for it.
func TestRenewedKey(t *testing.T) {
	t.Parallel()
	k := key("k", 1)
	r := ring(t, k)
	s, err := r.Seal([]byte("x"))
	require.NoError(t, err)
	k.Key.Set("spoilt")
	_, err = r.Seal([]byte("x"))
	require.Error(t, err)
	_, err = r.Open(s, limit)
	require.True(t, fault.From(err).Temporary, "%v", err)
	k.Key.Set(hex.EncodeToString(rawKey(2)))
	_, err = r.Open(s, limit)
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	k.Key.Set(hex.EncodeToString(rawKey(1)))
	_, err = r.Open(s, limit)
	require.NoError(t, err)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := ring(t, key("k", 1), key("k2", 1)) // the same key twice: the id counts as well
	plain := []byte(strings.Repeat("content ", 50))
	good, err := r.Seal(plain)
	require.NoError(t, err)
	bare, err := seal.Keyring{}.Seal(plain)
	require.NoError(t, err)

	_, err = ring(t, key("other", 1)).Open(good, limit)
	require.True(t, fault.Is(err, fault.ConfigInvalid), "%v", err)
	require.True(t, fault.From(err).Temporary, "the key may be deployed yet")
	require.Contains(t, fault.From(err).Public, `"k"`)

	flipped := func(i int) contract.Sealed {
		data := bytes.Clone(good.Data)
		data[i] ^= 1
		return contract.Sealed{KeyID: "k", Data: data}
	}
	for name, s := range map[string]contract.Sealed{
		"nonce altered":       flipped(0),
		"content altered":     flipped(20),
		"tag altered":         flipped(len(good.Data) - 1),
		"another id":          {KeyID: "k2", Data: good.Data},
		"id taken away":       {Data: good.Data},
		"id given to clear":   {KeyID: "k", Data: bare.Data},
		"nothing, sealed":     {KeyID: "k"},
		"nothing":             {},
		"cut short":           {Data: bare.Data[:len(bare.Data)-3]},
		"something follows":   {Data: append(bytes.Clone(bare.Data), 0)},
		"sealed and cut":      {KeyID: "k", Data: good.Data[:len(good.Data)-3]},
		"shorter than nonces": {KeyID: "k", Data: good.Data[:5]},
	} {
		_, err := r.Open(s, limit)
		require.True(t, fault.Is(err, fault.ContentLost), "%s: %v", name, err)
		require.False(t, fault.From(err).Temporary, name)
	}
}

// TestOpenIsBounded: content that unpacks to far more than allowed is refused at the
// limit, encrypted or not. It measures memory, so it runs alone.
func TestOpenIsBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := zlib.NewWriter(&bomb)
	for range 64 {
		_, err := w.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.Less(t, bomb.Len(), 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := seal.Keyring{}.Open(contract.Sealed{Data: bomb.Bytes()}, 64<<10)
	runtime.ReadMemStats(&after)
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))

	r := ring(t, key("k", 1))
	s, err := r.Seal(make([]byte, 101))
	require.NoError(t, err)
	_, err = r.Open(s, 100)
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	got, err := r.Open(s, 101)
	require.NoError(t, err)
	require.Len(t, got, 101)
}

// TestLargestFitsIntoTemporal: the longest body of a fallback start is below the 2 MiB
// that Temporal allows for a payload, in the input of the workflow and in that of its
// first step, and both together below the 4 MiB of a gRPC message.
func TestLargestFitsIntoTemporal(t *testing.T) {
	t.Parallel()
	const blobLimit = 2 << 20
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, contract.MaxFallbackBody)
	_, _ = random.Read(noise)
	var text bytes.Buffer
	text.WriteString(`{"event_id":"evt_1","text":"`)
	for r := rand.New(random); text.Len() < contract.MaxFallbackBody-8; {
		text.WriteRune(rune(0x4e00 + r.IntN(0x5000))) // three bytes each, and no two alike for long
	}
	text.WriteString(`"}`)
	for name, body := range map[string][]byte{
		"base64": []byte(base64.StdEncoding.EncodeToString(noise))[:contract.MaxFallbackBody],
		"utf-8":  text.Bytes(),
		"noise":  noise,
	} {
		require.Greater(t, len(body), contract.MaxFallbackBody-16, name)
		s, err := ring(t, key("a-key-with-a-long-name", 1)).Seal(body)
		require.NoError(t, err)
		email := contract.Email{WorkflowID: strings.Repeat("x", 300), EventID: strings.Repeat("\x01", contract.MaxEventID), Size: 1 << 20}
		hold := &contract.Hold{Reason: contract.SchemaInvalid, Detail: strings.Repeat("d", 4096)}
		fallback := contract.FallbackEvent{Body: &s}
		for _, in := range []any{
			contract.InboundEmailInput{Email: email, Hold: hold, Fallback: &fallback},
			contract.BackfillInput{Email: email, Hold: hold, Fallback: fallback},
		} {
			payloads, err := converter.GetDefaultDataConverter().ToPayloads(in)
			require.NoError(t, err)
			size := proto.Size(payloads)
			t.Log(name, fmt.Sprintf("%T", in), size)
			require.Less(t, size, blobLimit-256<<10, "%s as %T", name, in)
		}
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, key("k", 1))
	for _, plain := range []string{"", "x", strings.Repeat("hello ", 100)} {
		for _, from := range []seal.Keyring{{}, r} {
			s, err := from.Seal([]byte(plain))
			require.NoError(f, err)
			f.Add(s.KeyID, s.Data)
		}
	}
	f.Add("k", []byte("nothing of the kind"))
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		const bound = 4096
		got, err := r.Open(contract.Sealed{KeyID: id, Data: data}, bound)
		if err != nil {
			code := fault.From(err).Code
			require.Contains(t, []fault.Code{fault.ContentLost, fault.ConfigInvalid}, code)
			return
		}
		require.LessOrEqual(t, len(got), bound)
		s, err := r.Seal(got)
		require.NoError(t, err)
		again, err := r.Open(s, bound)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
