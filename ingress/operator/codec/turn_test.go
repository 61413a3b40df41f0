package codec

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

// TestPayloadsAreReadAFewAtATime: each request may unpack to much.
func TestPayloadsAreReadAFewAtATime(t *testing.T) {
	t.Parallel()
	s, err := New(Config{}, temporal.NewCodec(seal.Keyring{}))
	require.NoError(t, err)
	for range turns {
		s.turn <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequestWithContext(ctx, http.MethodPost, Root+"/decode", http.NoBody)
	require.True(t, fault.Is(s.handle(c), fault.Overloaded))
}
