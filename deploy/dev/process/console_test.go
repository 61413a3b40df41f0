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
	done := c.Await("temporal")
	stop := c.Reassure(t.Context())
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(out.String(), "… temporal (")
	}, soon, tick)
	stop()
	done()
	require.Empty(t, c.waiting)
}
