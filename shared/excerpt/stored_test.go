package excerpt

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// letters is text without an end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// hugeStore has one parsed mail, with a text of that many bytes before its headers.
type hugeStore struct {
	text    int64
	headers string
}

func (s hugeStore) Get(context.Context, blob.Bucket, string) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(`{"subject":"s","html":"`), io.LimitReader(letters{}, s.text),
		strings.NewReader(`","headers":[`+s.headers+`]}`))), nil
}

// TestViewerCannotLoadALargeMail by testing rules on it. It is not parallel: it
// measures the allocations of the process.
func TestViewerCannotLoadALargeMail(t *testing.T) { //nolint:paralleltest // see above
	m := NewReader(hugeStore{256 << 20, `{"name":"List-Id","value":"l"}`}, Usual)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := m.Message(t.Context(), &ledger.Manifest{MessageKey: "message"})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Equal(t, []mail.Header{{Name: "List-Id", Value: "l"}}, got.Headers)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))

	many := strings.Repeat(`{"name":"A","value":"b"},`, int(Usual.Total/20)) + `{}`
	_, err = NewReader(hugeStore{1, many}, Usual).Message(t.Context(), &ledger.Manifest{MessageKey: "message"})
	require.True(t, fault.Is(err, fault.BodyTooLarge), "%v", err)
	got, err = m.Message(t.Context(), &ledger.Manifest{})
	require.NoError(t, err)
	require.Empty(t, got.Headers)
}

// TestLargeMailsAreReadAFewAtATime: a read that finds no free place fails with overloaded.
func TestLargeMailsAreReadAFewAtATime(t *testing.T) {
	t.Parallel()
	m := NewReader(hugeStore{}, Usual)
	for range atOnce {
		m.turn <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Message(ctx, &ledger.Manifest{MessageKey: "message"})
	require.True(t, fault.Is(err, fault.Overloaded), "%v", err)
}

func TestWholeIsWhole(t *testing.T) {
	t.Parallel()
	want := mail.Message{Subject: "s", HTML: strings.Repeat("x", 1<<20), Headers: []mail.Header{{Name: "A", Value: "b"}}}
	for _, m := range []*ledger.Manifest{
		{MessageKey: "message"}, {Message: []byte(`{"subject":"s","html":"` + want.HTML + `","headers":[{"name":"A","value":"b"}]}`)},
	} {
		got, err := Whole(t.Context(), hugeStore{1 << 20, `{"name":"A","value":"b"}`}, m)
		require.NoError(t, err)
		require.Equal(t, &want, got)
	}
	got, err := Whole(t.Context(), hugeStore{}, &ledger.Manifest{})
	require.NoError(t, err)
	require.Equal(t, &mail.Message{}, got)
	_, err = Whole(t.Context(), hugeStore{}, &ledger.Manifest{Message: []byte(`{"subject":`)})
	require.Error(t, err)
}
