package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPageShowsWhatWasReceived: newest first, escaped, bounded, without scripts.
func TestPageShowsWhatWasReceived(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	get := func() (string, http.Header) {
		resp, err := http.Get(b.url + "/")
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(text), resp.Header
	}
	empty, _ := get()
	require.Contains(t, empty, "Nothing was received yet.")

	for i := range pageRows + 5 {
		b.sink.ledger.record(Arrival{Path: "/a", Key: fmt.Sprintf("k-%03d.", i), EventID: "evt", Size: 4711, Signature: signatureOK, Effect: true}, nil)
	}
	b.sink.ledger.record(Arrival{Path: "/a", Key: "k-104.", Effect: true}, nil)
	b.sink.ledger.record(Arrival{Path: "/a", Key: "<script>1</script>", Effect: true}, nil)

	page, header := get()
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, page, "<script")
	require.Contains(t, page, "&lt;script&gt;1&lt;/script&gt;")
	require.Contains(t, page, "<td>evt</td><td>k-104.</td><td>2</td><td>verified</td><td>4711</td>")
	require.Contains(t, page, "not checked")
	require.Less(t, strings.Index(page, "k-104."), strings.Index(page, "k-103."), "the newest first")
	require.NotContains(t, page, "k-000.")
	require.Equal(t, pageRows, strings.Count(page, "<tr><td>"))
}
