package e2e_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

// TestOneProcessDoesBoth: `mailroom all` accepts and delivers an email, shows the
// metrics of both roles, and ends both at one SIGTERM.
func TestOneProcessDoesBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	require.NoError(t, w.Stop(stack.Ingress))
	require.NoError(t, w.Stop(stack.Worker))
	both := w.another(t, func(o *stack.Options) {
		o.Services, o.Ports = []string{stack.All}, w.options.Ports
	})
	require.NoError(t, both.Start(t.Context(), stack.All))

	id := newID()
	w.accept(shapeA(id, "support").json())
	w.once(id)
	for program, family := range map[string]string{
		stack.Ingress: "mailroom_http_requests_total", stack.Worker: "mailroom_email_states_total",
	} {
		text := w.metrics(program)
		require.Contains(t, text, family)
		require.Contains(t, text, "mailroom_build_info{")
	}

	require.NoError(t, both.Stop(stack.All))
	log, err := os.ReadFile(both.LogFile(stack.All))
	require.NoError(t, err)
	for _, message := range []string{"ingress.starting", "worker.starting", "ingress.stopped", "worker.stopped"} {
		require.Contains(t, string(log), `"msg":"`+message+`"`)
	}
	require.NotContains(t, string(log), `"level":"ERROR"`)
	require.NotContains(t, string(log), "mailroom:", "it ends without an error")
}
