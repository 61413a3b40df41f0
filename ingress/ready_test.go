package ingress

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/webhook"
	"mailroom/shared/pgtest"
)

// TestReadyBeforeThereIsAServer: what scrapes metrics is answered from the first moment.
func TestReadyBeforeThereIsAServer(t *testing.T) {
	t.Parallel()
	var serving atomic.Pointer[webhook.Server]
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		readyOf(&serving).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
		return w
	}
	w := ask()
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"ok":false,"status":"starting"}`, w.Body.String())

	p, _ := openIngress(t, pgtest.URL(t))
	serving.Store(p.receiver.server)
	require.Contains(t, ask().Body.String(), `"checks"`)
}
