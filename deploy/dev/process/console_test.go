package process

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	soon = 10 * time.Second
	tick = 10 * time.Millisecond
)

func TestConsoleReassures(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := NewConsole(&out)
	c.last = time.Now().Add(-time.Hour)
	c.Promise("3 emails are accepted")
	done := c.AwaitText(func() string { return "temporal: building, 60 %" })
	second := c.Await("minio")
	stop := c.Reassure(t.Context())
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(out.String(), "  … 3 emails are accepted, waiting for temporal: building, 60 %, minio (")
	}, soon, tick)
	stop()
	done()
	second()
	require.Empty(t, c.waiting)
	require.Regexp(t, `^\d\d:\d\d:\d\d  … `, out.String())
}
