package temporal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

func key(id string, n byte) config.EncryptionKey {
	return config.EncryptionKey{ID: id, Key: config.NewSecret(hex.EncodeToString(bytes.Repeat([]byte{n}, seal.KeySize)))}
}

func ring(t testing.TB, keys ...config.EncryptionKey) seal.Keyring {
	t.Helper()
	r, err := seal.New(config.Encryption{Keys: keys})
	require.NoError(t, err)
	return r
}

func payload(t testing.TB, value any) *commonpb.Payload {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayload(value)
	require.NoError(t, err)
	return p
}

func encode(t testing.TB, c temporal.Codec, plain *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	out, err := c.Encode([]*commonpb.Payload{plain})
	require.NoError(t, err)
	require.Len(t, out, 1)
	return out[0]
}

func decode(c temporal.Codec, sealed *commonpb.Payload) (*commonpb.Payload, error) {
	out, err := c.Decode([]*commonpb.Payload{sealed})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func TestPayloadsAreEncrypted(t *testing.T) {
	t.Parallel()
	c := temporal.NewCodec(ring(t, key("2026", 1)))
	for name, plain := range map[string]*commonpb.Payload{
		"short":    payload(t, map[string]string{"event_id": "evt_clear"}),
		"long":     payload(t, strings.Repeat("evt_clear ", 200)),
		"bytes":    payload(t, []byte("evt_clear")),
		"nil":      payload(t, nil),
		"empty":    {},
		"metadata": {Metadata: map[string][]byte{"encoding": []byte("json/plain"), "name": []byte("evt_clear")}, Data: []byte("1")},
	} {
		before := proto.CloneOf(plain)
		sealed := encode(t, c, plain)
		require.Equal(t, map[string][]byte{"encoding": []byte("binary/encrypted"), "encryption-key-id": []byte("2026")}, sealed.GetMetadata(), name)
		require.NotContains(t, string(sealed.GetData()), "evt_clear", name)
		got, err := decode(c, sealed)
		require.NoError(t, err, name)
		require.True(t, proto.Equal(before, got), name)
		require.True(t, proto.Equal(before, plain), "%s: what is given is not changed", name)
	}
	long := payload(t, strings.Repeat("evt_clear ", 200))
	require.Less(t, proto.Size(encode(t, c, long)), proto.Size(long)/4, "it is compressed")
	noise := make([]byte, 4096)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	require.Less(t, proto.Size(encode(t, c, payload(t, noise))), 4096+150, "what zlib makes longer is left as it is")
}

// TestRotation: a new first key encrypts from then on, and the old one still decrypts
// what it has encrypted, until it is removed.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, fresh := key("2025", 1), key("2026", 2)
	plain := payload(t, "hello")
	before := encode(t, temporal.NewCodec(ring(t, old)), plain)

	ahead := temporal.NewCodec(ring(t, old, fresh)) // first the new key is deployed everywhere
	require.Equal(t, "2025", string(encode(t, ahead, plain).GetMetadata()[temporal.MetadataKey]))
	both := temporal.NewCodec(ring(t, fresh, old)) // then it is put first
	after := encode(t, both, plain)
	require.Equal(t, "2026", string(after.GetMetadata()[temporal.MetadataKey]))
	for _, sealed := range []*commonpb.Payload{before, after} {
		for _, c := range []temporal.Codec{ahead, both} {
			got, err := decode(c, sealed)
			require.NoError(t, err)
			require.True(t, proto.Equal(plain, got))
		}
	}
	_, err := decode(temporal.NewCodec(ring(t, fresh)), before)
	require.True(t, fault.Is(err, fault.ConfigInvalid), "%v", err)
	require.ErrorContains(t, err, `"2025"`)
}

func TestWhatIsNotOursPasses(t *testing.T) {
	t.Parallel()
	foreign := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: []byte("somebody's")}
	for _, r := range []seal.Keyring{{}, ring(t, key("k", 1))} {
		c := temporal.NewCodec(r)
		for _, p := range []*commonpb.Payload{payload(t, "from before there were keys"), {}, foreign} {
			got, err := decode(c, p)
			require.NoError(t, err)
			require.True(t, proto.Equal(p, got))
		}
	}
	plain := payload(t, "hello")
	require.True(t, proto.Equal(plain, encode(t, temporal.NewCodec(seal.Keyring{}), plain)), "without keys nothing is changed")
}

func TestAlteredPayloadsAreRefused(t *testing.T) {
	t.Parallel()
	r := ring(t, key("k", 1), key("k2", 1)) // the same key twice: the id counts as well
	c := temporal.NewCodec(r)
	good := encode(t, c, payload(t, "hello"))
	with := func(id string, data []byte) *commonpb.Payload {
		return &commonpb.Payload{Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(temporal.Encrypted), temporal.MetadataKey: []byte(id),
		}, Data: data}
	}
	flipped := func(i int) []byte {
		data := bytes.Clone(good.GetData())
		data[i] ^= 1
		return data
	}
	fallback, err := r.Seal([]byte("hello"))
	require.NoError(t, err)
	sealed := func(content []byte) []byte {
		_, data, err := r.Encrypt(seal.TemporalPayload, content)
		require.NoError(t, err)
		return data
	}
	large := protowire.AppendTag(nil, 2, protowire.BytesType) // field data of a Payload
	large = protowire.AppendBytes(large, make([]byte, 4<<20))
	for name, p := range map[string]*commonpb.Payload{
		"nonce altered":             with("k", flipped(0)),
		"content altered":           with("k", flipped(14)),
		"tag altered":               with("k", flipped(len(good.GetData())-1)),
		"another id":                with("k2", good.GetData()),
		"cut":                       with("k", good.GetData()[:20]),
		"nothing":                   with("k", nil),
		"sealed for another use":    with("k", fallback.Data),
		"empty content":             with("k", sealed(nil)),
		"unknown form":              with("k", sealed([]byte{2, 0})),
		"no payload":                with("k", sealed([]byte{0, 0xff, 0xff})),
		"not compressed":            with("k", sealed([]byte{1, 0, 0})),
		"longer than may be":        with("k", sealed(append([]byte{0}, large...))),
		"unpacks to more than that": with("k", sealed(append([]byte{1}, seal.Compress(large)...))),
	} {
		_, err := decode(c, p)
		require.True(t, fault.Is(err, fault.ContentLost), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "hello", name)
	}
	_, err = c.Encode([]*commonpb.Payload{{Data: make([]byte, 4<<20)}})
	require.Error(t, err, "what could not be decrypted is not encrypted")
}

// TestAWorkflowWaitsForItsKey: without the key an error would end the workflow.
func TestAWorkflowWaitsForItsKey(t *testing.T) {
	t.Parallel()
	sealed, err := temporal.Converter(ring(t, key("2026", 1))).ToPayload("hello")
	require.NoError(t, err)
	for _, r := range []seal.Keyring{{}, ring(t, key("2025", 1))} {
		var got string
		dc := temporal.Converter(r)
		err = dc.FromPayload(sealed, &got)
		require.ErrorContains(t, err, `encryption key "2026"`)
		aware, ok := dc.(workflow.ContextAware)
		require.True(t, ok)
		require.ErrorContains(t, aware.WithContext(t.Context()).FromPayload(sealed, &got), `encryption key "2026"`)
		inside := aware.WithWorkflowContext(nil)
		func() {
			defer func() {
				err, _ := recover().(error)
				require.ErrorContains(t, err, `encryption key "2026"`)
			}()
			_ = inside.FromPayload(sealed, &got)
			t.Error("it does not panic")
		}()
	}
	broken := proto.CloneOf(sealed)
	broken.Data[0] ^= 1
	aware, _ := temporal.Converter(ring(t, key("2026", 1))).(workflow.ContextAware)
	var got string
	require.Error(t, aware.WithWorkflowContext(nil).FromPayload(broken, &got), "what no key opens is dropped")
}

// TestFailuresAreEncrypted: message and stack trace are unreadable, the type is readable.
func TestFailuresAreEncrypted(t *testing.T) {
	t.Parallel()
	var o client.Options
	temporal.Protect(&o, ring(t, key("k", 1)))
	cause := sdk.NewApplicationErrorWithCause("the secret text", "downstream_rejected", errors.New("a secret cause"), "a secret detail")
	f := o.FailureConverter.ErrorToFailure(cause)
	wire, err := proto.Marshal(f)
	require.NoError(t, err)
	require.NotContains(t, string(wire), "secret")
	require.Equal(t, "downstream_rejected", f.GetApplicationFailureInfo().GetType())
	back := o.FailureConverter.FailureToError(f)
	again, err := proto.Marshal(f)
	require.NoError(t, err)
	require.NotContains(t, string(again), "secret", "what is read stays as it is: it may be written yet")
	var app *sdk.ApplicationError
	require.ErrorAs(t, back, &app)
	require.Equal(t, "the secret text", app.Message())
	var detail string
	require.NoError(t, app.Details(&detail))
	require.Equal(t, "a secret detail", detail)

	temporal.Protect(&o, seal.Keyring{})
	require.Equal(t, "the secret text", o.FailureConverter.ErrorToFailure(cause).GetMessage(), "without keys it stays clear")
}

// TestLargestIsTaken: the input of a workflow with the longest event is below the 2 MiB
// that Temporal accepts, even encrypted twice.
func TestLargestIsTaken(t *testing.T) {
	t.Parallel()
	r := ring(t, key("a-key-with-a-long-name", 1))
	noise := make([]byte, contract.MaxFallbackBody)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	s, err := r.Seal(noise)
	require.NoError(t, err)
	p, err := temporal.Converter(r).ToPayload(contract.InboundEmailInput{Fallback: &contract.FallbackEvent{Body: &s}})
	require.NoError(t, err)
	require.Less(t, proto.Size(p), 2<<20-256<<10)
	require.Less(t, proto.Size(p), proto.Size(payload(t, s))*4/5, "its base64 is compressed")
}

func FuzzDecode(f *testing.F) {
	r := ring(f, key("k", 1))
	c := temporal.NewCodec(r)
	for _, p := range []*commonpb.Payload{payload(f, "hello"), payload(f, strings.Repeat("hello ", 100)), {}} {
		f.Add([]byte("k"), encode(f, c, p).GetData(), false)
		plain, err := proto.Marshal(p)
		require.NoError(f, err)
		f.Add([]byte("k"), append([]byte{0}, plain...), true)
		f.Add([]byte("k"), append([]byte{1}, seal.Compress(plain)...), true)
	}
	f.Add([]byte("other"), []byte{}, false)
	f.Fuzz(func(t *testing.T, id, data []byte, encrypt bool) {
		if encrypt { // arbitrary content encrypted with the key
			var err error
			_, data, err = r.Encrypt(seal.TemporalPayload, data)
			require.NoError(t, err)
		}
		got, err := decode(c, &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(temporal.Encrypted), temporal.MetadataKey: id,
		}})
		if err != nil {
			require.Contains(t, []fault.Code{fault.ContentLost, fault.ConfigInvalid}, fault.From(err).Code)
			return
		}
		require.LessOrEqual(t, proto.Size(got), 4<<20)
		again, err := decode(c, encode(t, c, got))
		require.NoError(t, err)
		require.True(t, proto.Equal(got, again))
	})
}

// BenchmarkPayload is what one payload costs: encrypted once, decrypted once.
func BenchmarkPayload(b *testing.B) {
	short, err := json.Marshal(contract.InboundEmailInput{Email: contract.Email{
		WorkflowID: "evt_" + strings.Repeat("7", 20), Source: "mailparse", EventID: "evt_" + strings.Repeat("7", 20),
		Tenant: "default", CorrelationID: strings.Repeat("4c", 16), Size: 4711,
	}, Hold: &contract.Hold{Reason: contract.SchemaInvalid, Detail: strings.Repeat("no field of that name; ", 5)}})
	require.NoError(b, err)
	long := bytes.Repeat(short, 4)
	for name, text := range map[string][]byte{"400 bytes": short, "1600 bytes, compressed": long} {
		b.Run(name, func(b *testing.B) {
			c := temporal.NewCodec(ring(b, key("k1", 1)))
			in := []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: text}}
			b.ReportMetric(float64(len(text)), "bytes")
			b.ReportAllocs()
			for b.Loop() {
				sealed, err := c.Encode(in)
				require.NoError(b, err)
				_, err = c.Decode(sealed)
				require.NoError(b, err)
			}
		})
	}
}
