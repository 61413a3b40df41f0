package ingress

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

// hugeStore has one parsed mail, with a text of 256 MiB before its headers.
type hugeStore struct{ headers string }

func (s hugeStore) Get(context.Context, blob.Bucket, string) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(`{"subject":"s","html":"`), io.LimitReader(letters{}, 256<<20),
		strings.NewReader(`","headers":[`+s.headers+`]}`))), nil
}

// TestViewerCannotLoadALargeMail by trying the rules on it. It is not parallel: it
// looks at what the process allocates.
func TestViewerCannotLoadALargeMail(t *testing.T) { //nolint:paralleltest // see above
	m := newMessages(hugeStore{`{"name":"List-Id","value":"l"}`})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := m.Message(t.Context(), &ledger.Manifest{MessageKey: "message"})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Equal(t, []mail.Header{{Name: "List-Id", Value: "l"}}, got.Headers)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))

	_, err = newMessages(hugeStore{strings.Repeat(`{"name":"A","value":"b"},`, testedTotal/20) + `{}`}).
		Message(t.Context(), &ledger.Manifest{MessageKey: "message"})
	require.True(t, fault.Is(err, fault.BodyTooLarge), "%v", err)
	got, err = m.Message(t.Context(), &ledger.Manifest{})
	require.NoError(t, err)
	require.Empty(t, got.Headers)
}

// TestLargeMailsAreReadOneByOne: who finds no turn is told to come again.
func TestLargeMailsAreReadOneByOne(t *testing.T) {
	t.Parallel()
	m := newMessages(hugeStore{})
	for range readers {
		m.turn <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Message(ctx, &ledger.Manifest{MessageKey: "message"})
	require.True(t, fault.Is(err, fault.Overloaded), "%v", err)
}
