package api

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// TestStoppedQuestionsSayWhatToNarrow: what the database stopped is not its absence.
func TestStoppedQuestionsSayWhatToNarrow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.err = fault.Wrap(fault.StorageUnavailable, "the database does not answer", &pgconn.PgError{Code: "57014"})
	resp, body := b.do(t, http.MethodGet, "/api/v1/emails?q=ab", "viewer", "")
	require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode)
	require.Contains(t, body, string(fault.QueryTimeout))
	require.Contains(t, body, "narrow it")
}
