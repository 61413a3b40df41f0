package excerpt

import (
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

func encoded(t testing.TB, m mail.Message) string {
	t.Helper()
	text, err := json.Marshal(m)
	require.NoError(t, err)
	return string(text)
}

func TestMessageIsCutAndNotChanged(t *testing.T) {
	t.Parallel()
	small := mail.Message{
		Subject: "Grüße \"<&>\" \\ \u2028", Text: "line\nline\t\x01", From: []mail.Address{{Name: "ä", Address: "a@b.example"}},
		Headers: []mail.Header{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: `\"`}},
	}
	for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
		got, err := Message(wrap(strings.NewReader(encoded(t, small))), Limits{Text: 1000, Total: 1 << 20})
		require.NoError(t, err)
		require.Equal(t, small, *got)
	}
	large := small
	large.Text, large.HTML = strings.Repeat("ä", 3<<20), strings.Repeat("<", 3<<20)
	got, err := Message(strings.NewReader(encoded(t, large)), Limits{Text: 1001, Total: 64 << 10})
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("ä", 501), got.Text, "whole characters")
	require.GreaterOrEqual(t, len(got.HTML), 300)
	require.Equal(t, small.Headers, got.Headers, "what comes behind a cut text is there")
}

func TestMessageOfManyHeaders(t *testing.T) {
	t.Parallel()
	_, err := Message(strings.NewReader(encoded(t, mail.Message{Headers: make([]mail.Header, 10_000)})), Limits{Text: 100, Total: 100_000})
	require.True(t, fault.Is(err, fault.BodyTooLarge), "%v", err)
	down := fault.New(fault.StorageUnavailable, "down")
	_, err = Message(iotest.ErrReader(down), Limits{Text: 100, Total: 100})
	require.ErrorIs(t, err, down)
	for _, text := range []string{"", "{", `{"text":"`, `{"text":"\`, `{"text":"\u12`} {
		_, err = Message(strings.NewReader(text), Limits{Text: 100, Total: 100})
		require.Error(t, err, text)
		require.False(t, errors.Is(err, down))
	}
}

// endless is a parsed mail with a text of size bytes that is generated while read.
func endless(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(`{"subject":"s","text":"`), io.LimitReader(repeat('x'), size), strings.NewReader(`","headers":[{"name":"A","value":"b"}]}`))
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// TestLargeMessageIsNotHeld is not parallel: it measures the allocations of the process.
func TestLargeMessageIsNotHeld(t *testing.T) { //nolint:paralleltest // see above
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Message(endless(64<<20), Limits{Text: 256 << 10, Total: 4 << 20})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Len(t, got.Text, 256<<10)
	require.Equal(t, []mail.Header{{Name: "A", Value: "b"}}, got.Headers)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// FuzzMessage: with limits that nothing reaches the result is that of the standard
// decoder; with small ones it is valid and within them.
func FuzzMessage(f *testing.F) {
	f.Add(`{"subject":"a\u00e4\n\"","text":"ä€😀"}`)
	f.Add(`{"subject":"\ud83d\ude00","headers":[{"name":"a","value":"\\"}]}`)
	f.Add(`{"text":"` + strings.Repeat("x", 50) + `"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var want mail.Message
		wanted := json.NewDecoder(strings.NewReader(text)).Decode(&want)
		got, err := Message(strings.NewReader(text), Limits{Text: 1 << 20, Total: 1 << 20})
		require.Equal(t, wanted == nil, err == nil)
		if err == nil {
			require.Equal(t, want, *got)
		}
		if got, err = Message(strings.NewReader(text), Limits{Text: 10, Total: 1 << 20}); err == nil {
			most := 13 + utf8.UTFMax
			if !utf8.ValidString(text) { // of each byte that is no UTF-8 the decoder makes three
				most *= 3
			}
			require.LessOrEqual(t, len(got.Text), most)
		}
	})
}
