//go:build mutants

package webhook

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/mutant"
)

// killers names the test that notices each defect.
var killers = map[mutant.Name]string{
	mutant.NoRecord:           "TestConformsInSequence",
	mutant.CheckThenInsert:    "TestConformsAtABarrier",
	mutant.MarkedFirst:        "TestConformsToStartBeforeMark",
	mutant.AnsweredFirst:      "TestConformsToCommitBeforeAnswer",
	mutant.VerifiedSerialised: "TestConformsToRawBytes",
	mutant.StaleAccepted:      "TestConformsToAge",
	mutant.InvalidAccepted:    "TestConformsToSignature",
	mutant.StartedFirst:       "TestConformsToOneStart",
	mutant.OrderAssumed:       "TestConformsInAnyOrder",
	mutant.ContentLogged:      "TestConformsToSilence",
	mutant.HeadersLogged:      "TestConformsToSilence",
	mutant.SentTwice:          "TestConformsToLostStart",
}

// TestMutantsAreKilled runs this program again, once as it is and once with each
// defect: a test that names a defect passes without it and fails with it.
func TestMutantsAreKilled(t *testing.T) {
	if os.Getenv(mutant.Variable) != "" {
		t.Skip("this is a mutant")
	}
	// One after the other: a test that fails because two cores are busy kills nothing.
	said, err := again(t, "", "^TestConforms")
	require.NoError(t, err, "without a defect: %s", said)
	for _, test := range killers {
		require.Contains(t, said, "--- PASS: "+test+" ", "it runs, and passes without a defect")
	}
	for name, test := range killers {
		t.Run(string(name), func(t *testing.T) {
			said, err := again(t, name, "^"+test+"$")
			require.Error(t, err, "%s lives: %s", name, said)
			require.Contains(t, said, "--- FAIL: "+test+" ", "%s ends otherwise", name)
			require.NotContains(t, said, "panic:", "%s ends otherwise", name)
			t.Logf("%s", failure(said))
		})
	}
}

// again runs tests of this program in a process of its own.
func again(t *testing.T, name mutant.Name, tests string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.timeout=1m", "-test.run="+tests)
	cmd.Env = append(os.Environ(), mutant.Variable+"="+string(name))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// failure gives the lines of a test's output that say why it failed.
func failure(said string) string {
	var kept []string
	for line := range strings.Lines(said) {
		if strings.Contains(line, "Error:") || strings.Contains(line, "Messages:") || strings.Contains(line, "answered") {
			line = strings.TrimSpace(line)
			kept = append(kept, line[:min(len(line), 120)])
		}
	}
	return strings.Join(kept, "\n")
}
