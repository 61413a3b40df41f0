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

// TestEventTakesTheWorkflowIDOfAReplay: an event was answered 200 and never processed
// because replay 7 had the same workflow ID; a sender could take those of the next
// replays and of scheduled runs.
func TestEventTakesTheWorkflowIDOfAReplay(t *testing.T) {
	t.Parallel()
	systems := []string{
		contract.ReplayWorkflowID(7), contract.MaintenanceSchedule, contract.MaintenanceWorkflowID,
		contract.MaintenanceWorkflowID + "-2026-12-01T00:00:00Z",
		"temporal-sys-scheduler:" + contract.MaintenanceSchedule,
	}
	require.Equal(t, "mailroom/replay/7", systems[0])

	for _, id := range systems {
		require.GreaterOrEqual(t, strings.Count(id, "/"), 2, id)

		for _, source := range []string{contract.FirstSource, "mailroom", "mailroom-replay"} {
			for _, claim := range []string{id, strings.TrimPrefix(id, "mailroom/"), contract.ReplayEffect(7), "replay/7", "7"} {
				require.NotEqual(t, id, contract.WorkflowID(source, claim))
				require.NotEqual(t, id, contract.ConflictWorkflowID(source, claim, sha256.Sum256([]byte(claim))))
			}
		}
	}
	require.Equal(t, "replay-7", contract.ReplayEffect(7), "the keys of deliveries stay as they are")
}

// TestLongSourceMakesNoLongWorkflowID: Temporal refuses IDs of more than 255 bytes, so
// that an accepted event of a source with a long name was never started.
func TestLongSourceMakesNoLongWorkflowID(t *testing.T) {
	t.Parallel()
	body := sha256.Sum256([]byte("body"))
	long := strings.Repeat("x", 200)
	for size := 1; size <= 63; size++ {
		source := strings.Repeat("s", size)
		id, conflict := contract.WorkflowID(source, long), contract.ConflictWorkflowID(source, long, body)
		require.LessOrEqual(t, len(id), contract.MaxWorkflowID)
		require.LessOrEqual(t, len(conflict), contract.MaxWorkflowID)
		require.Equal(t, size <= 54, id == source+"/"+long, "as it is wherever it fits: %d", size)
	}
}

// TestConflictIsNamedByHalfOfItsHash: with 8 bytes of it a sender could make two
// bodies that share a workflow, of which the second was never processed.
func TestConflictIsNamedByHalfOfItsHash(t *testing.T) {
	t.Parallel()
	body := sha256.Sum256([]byte("body"))
	require.Equal(t, "evt_1~"+hex.EncodeToString(body[:16]), contract.ConflictWorkflowID(contract.FirstSource, "evt_1", body))

	near := body
	near[15]++
	require.NotEqual(t, contract.ConflictWorkflowID(contract.FirstSource, "evt_1", body),
		contract.ConflictWorkflowID(contract.FirstSource, "evt_1", near))
}

// sourceOf makes the name of a source as the configuration allows it.
func sourceOf(s string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '_' || r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			return r
		}
		return -1
	}, s)
	return "s" + name[:min(len(name), 62)]
}

// FuzzWorkflowIDs: no two events share a workflow ID, nor two bodies of one event, and
// none has the ID of a system workflow or one that Temporal refuses.
func FuzzWorkflowIDs(f *testing.F) {
	long := strings.Repeat("x", 200)
	for _, seed := range [][4]string{
		{"mailparse", "evt_1", "postmark", "evt_1"},
		{"mailparse", "postmark/evt_1", "postmark", "evt_1"},
		{"mailroom", "replay/7", "mailparse", "mailroom/replay/7"},
		{"mailroom", "replay", "mailroom", "maintenance"},
		{"mailparse", "temporal-sys-scheduler:mailroom/maintenance/schedule", "mailparse", "replay-7"},
		{strings.Repeat("a", 63), long, strings.Repeat("a", 63), long + "x"},
		{strings.Repeat("a", 54), long, strings.Repeat("a", 55), long},
		{"mailparse", "a b", "mailparse", "sha256-c8687a08aa5d6ed2044328fa6a697ab8e96dc34291c0ba00d36c24b5b5bf3b7c"},
		{"mailparse", "evt_1~230d8358dc8e8890b4c58deeb62912ee", "mailparse", "evt_1"},
		{"mailparse", "", "mailparse", "\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], "body", "other")
	}

	f.Fuzz(func(t *testing.T, source1, id1, source2, id2, body1, body2 string) {
		if source1 != contract.FirstSource {
			source1 = sourceOf(source1)
		}
		if source2 != contract.FirstSource {
			source2 = sourceOf(source2)
		}

		seen := map[string][3]string{}
		for _, e := range [][2]string{{source1, id1}, {source2, id2}} {
			ids := map[string]string{"": contract.WorkflowID(e[0], e[1])}
			for _, body := range []string{body1, body2} {
				ids["body "+body] = contract.ConflictWorkflowID(e[0], e[1], sha256.Sum256([]byte(body)))
			}
			for body, id := range ids {
				if len(id) == 0 || len(id) > contract.MaxWorkflowID || strings.Count(id, "/") > 1 || strings.HasPrefix(id, "mailroom/replay/") {
					t.Fatalf("%q of %q is named %q", e[1], e[0], id)
				}
				who := [3]string{e[0], e[1], body}
				if before, taken := seen[id]; taken && before != who {
					t.Fatalf("%q and %q are both named %q", before, who, id)
				}
				seen[id] = who
			}
		}
	})
}

// TestWorkflowIDCannotBeForged: a sender of one source must not be able to
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
