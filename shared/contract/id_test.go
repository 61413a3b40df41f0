package contract_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

func TestWorkflowID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "evt_1", contract.WorkflowID(contract.FirstSource, "evt_1"))
	require.Equal(t, "postmark/evt_1", contract.WorkflowID("postmark", "evt_1"))
	for _, odd := range []string{"", " ", "a b", "é", "nul\x00", strings.Repeat("x", 201), "a/b", "a~b", "sha256-00"} {
		id := contract.WorkflowID(contract.FirstSource, odd)
		require.Regexp(t, "^sha256-[0-9a-f]{64}$", id, "%q", odd)
	}
	require.Equal(t, strings.Repeat("x", 200), contract.WorkflowID(contract.FirstSource, strings.Repeat("x", 200)))
}

// TestWorkflowIDCannotBeForged: who may send as one source must not be able to
// occupy the workflow of another source's event, of a conflict, or of an id that
// is hashed.
func TestWorkflowIDCannotBeForged(t *testing.T) {
	t.Parallel()
	body := sha256.Sum256([]byte("body"))
	hash := sha256.Sum256([]byte("a b"))
	for _, victim := range []string{
		contract.WorkflowID("postmark", "evt_1"),
		contract.ConflictWorkflowID(contract.FirstSource, "evt_1", body),
		contract.WorkflowID(contract.FirstSource, "a b"),
		"sha256-" + hex.EncodeToString(hash[:]),
	} {
		require.NotEqual(t, victim, contract.WorkflowID(contract.FirstSource, victim))
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	key := contract.IdempotencyKey("evt_1", "ticketing")
	require.Regexp(t, "^mr_[0-9a-f]{32}$", key)
	require.Equal(t, key, contract.IdempotencyKey("evt_1", "ticketing"))
	require.NotEqual(t, key, contract.IdempotencyKey("evt_1", "accounting"))
	require.NotEqual(t, contract.IdempotencyKey("a", "bc"), contract.IdempotencyKey("ab", "c"))
}
