package access

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for _, code := range fault.Codes {
		got := Status(fault.New(code, "x"))
		require.GreaterOrEqual(t, got, 400, code)
		require.NotEmpty(t, http.StatusText(got), code)
	}
	require.Equal(t, http.StatusConflict, Status(fault.New(fault.DecisionRefused, "x")))
	require.Equal(t, http.StatusGone, Status(fault.New(fault.ContentLost, "x")))
	require.Equal(t, http.StatusInternalServerError, Status(errors.New("not classified")))
}
