package e2e_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// TestRestoreWithoutTemporal copies the ledger while one email is held, one waits and one
// has just been started, starts Mailroom on the copy with a Temporal that knows nothing of
// them, and runs the commands of deploy/docs/data.md: each email goes on as it would have.
func TestRestoreWithoutTemporal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	held, waiting, started := newID(), newID(), newID()
	w.accept(shapeA(held, "careful").json())
	w.until(held, "quarantined")
	w.script(map[string]any{"path": "/away", "status": 503})
	w.accept(shapeA(waiting, "away").json())
	w.until(waiting, "retrying")
	require.NoError(t, w.Stop(stack.Worker))
	w.accept(shapeA(started, "support").json())
	testenv.Eventually(t, func() bool {
		var found bool
		const query = `SELECT EXISTS (SELECT FROM inbox i JOIN emails e ON e.id = i.email_id WHERE e.event_id = $1 AND i.started_at IS NOT NULL)`
		return w.db.QueryRow(t.Context(), query, started).Scan(&found) == nil && found
	}, patience, tick, "the email is not started")
	require.NoError(t, w.Stop(stack.Ingress))
	w.clear("/away")

	restored := w.restored(t)
	page := readText(t, "../../docs/data.md")
	commands := regexp.MustCompile("(?s)## Restore.*?```sh\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, commands)
	restored.runShell(newClone(t, w.bin), strings.ReplaceAll(commands[1], "mailctl", ".dev/bin/mailctl"))

	for _, id := range []string{waiting, started} {
		restored.until(id, "delivered")
		require.Len(t, restored.effects(id), 1)
	}
	require.Equal(t, "manual_hold", restored.until(held, "quarantined").Reason)
	require.Empty(t, restored.effects(held))
	restored.decide(held, "approve")
	restored.until(held, "delivered")
}

// restored starts ingress and worker on a copy of the ledger and the same objects, with a
// new namespace. The programs of w must have been stopped.
func (w *world) restored(t *testing.T) *world {
	t.Helper()
	name := w.infra.TemporalNamespace + "r"
	infra, err := stack.Isolate(t.Context(), w.infra, name)
	require.NoError(t, err)
	infra.RawBucket, infra.AttachmentsBucket = w.infra.RawBucket, w.infra.AttachmentsBucket

	w.db.Close()
	admin, err := pgx.Connect(t.Context(), stack.TestInfra(os.Getenv).DatabaseURL)
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	for _, statement := range []string{"DROP DATABASE " + name, "CREATE DATABASE " + name + " TEMPLATE " + w.infra.TemporalNamespace} {
		_, err = admin.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}

	own := *w
	own.infra = infra
	own.Stack = w.another(t, func(o *stack.Options) {
		free, err := stack.FreePorts()
		require.NoError(t, err)
		o.Services, o.Infra, o.Ports.WorkerMetrics = []string{stack.Ingress, stack.Worker}, infra, free.WorkerMetrics
	})
	require.NoError(t, own.Up(t.Context()))
	return &own
}
