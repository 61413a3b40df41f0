package api

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// TestExportsDoNotGrowTheChainWithoutBound: each is an entry for ever, so that an
// operator who asks for the same again and again is put off.
func TestExportsDoNotGrowTheChainWithoutBound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.custody.now = b.clock.Now
	for range exportsOfEmail {
		resp, body := b.do(t, http.MethodGet, emailURL+"/custody", "operator", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
	}
	b.auditor.actor = "none"
	resp, body := b.do(t, http.MethodGet, emailURL+"/custody", "operator", "")
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Contains(t, body, string(fault.RateLimited))
	require.Equal(t, strconv.Itoa(int(exportEvery.Seconds())), resp.Header.Get("Retry-After"))
	require.Equal(t, "none", b.auditor.actor, "nothing is noted")
	resp, _ = b.do(t, http.MethodGet, emailURL+"/custody", "admin", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, "another operator")
	b.clock.add(exportEvery)
	resp, _ = b.do(t, http.MethodGet, emailURL+"/custody", "operator", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestExportsOfManyEmails(t *testing.T) {
	t.Parallel()
	e, now := newExports(), time.Unix(1_800_000_000, 0)
	for i := range exportsOfAnyone {
		require.NoError(t, e.allow("ada", int64(i+1), now))
	}
	require.True(t, fault.Is(e.allow("ada", 1000, now), fault.RateLimited))
	require.NoError(t, e.allow("adam", 1000, now))
	require.NoError(t, e.allow("ada", 1000, now.Add(exportPause)))
	for i := range 2 * limitedExports {
		_ = e.allow(strconv.Itoa(i), 1, now)
	}
	require.LessOrEqual(t, len(e.limits), limitedExports)

	turn := make(chan struct{}, longChecksAtOnce)
	leave, err := enter(turn)
	require.NoError(t, err)
	_, err = enter(turn)
	require.True(t, fault.Is(err, fault.Overloaded))
	leave()
	leave, err = enter(turn)
	require.NoError(t, err)
	leave()
}
