// Package ingresstest has the fakes that the tests of the receiving packages share: a
// ledger with its inbox, a Temporal, an object store and a log, all in memory.
package ingresstest

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// Patience is how long a test waits for what must happen.
const Patience = time.Minute

// ErrUnavailable is the fault of a database that does not answer.
var ErrUnavailable = fault.New(fault.StorageUnavailable, "the database does not answer")

// RowOf returns a row of one byte.
func RowOf(id string) postgres.Acceptance {
	return postgres.Acceptance{Source: "mailparse", EventID: id, WorkflowID: id, Body: []byte("x"), Size: 1}
}

// SumOf returns the SHA-256 of body in hex.
func SumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Eventually waits until condition is true, at most Patience.
func Eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, Patience, 2*time.Millisecond, what)
}

// Counted returns the value of a counter.
func Counted(t testing.TB, m prometheus.Metric) int {
	t.Helper()
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	return int(out.GetCounter().GetValue())
}
