package e2e_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// only marks, in the documented list, the metrics that have no series in a fresh program of
// this test.
var only = map[string]bool{
	"mailroom_certificate_not_after_timestamp_seconds": true, "mailroom_secret_expires_timestamp_seconds": true,
	"mailroom_secret_verifies_until_timestamp_seconds": true,
}

// TestMetricsAreThoseOfTheList compares the list of deploy/docs/operating.md with what an
// ingress and a worker export before the first email: names, labels and programs, in both
// directions. A rate over a counter that appears with its first event misses that event.
func TestMetricsAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	listed := listedMetrics(t)

	for _, program := range []string{stack.Ingress, stack.Worker} {
		var exported map[string]string
		var text string
		testenv.Eventually(t, func() bool { // the length of the audit chain is read once a second
			text = w.metrics(program)
			exported = exportedMetrics(text)
			return program != stack.Ingress || exported["mailroom_audit_seq"] != ""
		}, patience, tick, "the ingress does not show the audit chain")

		want := map[string]string{}
		for name, labels := range listed[program] {
			if !only[name] {
				want[name] = labels
			}
		}
		require.Equal(t, want, exported, program)

		for line := range strings.Lines(text) {
			if regexp.MustCompile(`^mailroom_(email|delivery|hold|events|duplicates|bodies|starts)\w*_total`).MatchString(line) {
				require.True(t, strings.HasSuffix(strings.TrimSpace(line), " 0"), "before the first email: %s", line)
			}
		}
	}
}

// exportedMetrics returns the names of our metrics with their labels, as in the list.
func exportedMetrics(text string) map[string]string {
	families := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (mailroom_\w+) `).FindAllStringSubmatch(text, -1) {
		families[m[1]] = ""
	}

	label := regexp.MustCompile(`(\w+)="`)
	for _, m := range regexp.MustCompile(`(?m)^(mailroom_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(text, -1) {
		name := m[1]
		if _, is := families[name]; !is { // of a gauge whose name ends like that
			continue
		}
		var labels []string
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		slices.Sort(labels)
		families[name] = "{" + strings.Join(labels, ",") + "}"
	}
	return families
}

// listedMetrics reads the list of operating.md: by program, name and labels.
func listedMetrics(t *testing.T) map[string]map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| (.*?) \| (ingress|worker|both) \|`)
	metric := regexp.MustCompile("`(mailroom_\\w+)(?:\\{(.*?)\\})?`")
	listed := map[string]map[string]string{stack.Ingress: {}, stack.Worker: {}}

	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		for _, found := range metric.FindAllStringSubmatch(m[1], -1) {
			labels := strings.Split(found[2], ",")
			slices.Sort(labels)
			for program := range listed {
				if m[2] == program || m[2] == "both" {
					require.NotContains(t, listed[program], found[1], "listed twice")
					listed[program][found[1]] = "{" + strings.Join(labels, ",") + "}"
				}
			}
		}
	}
	require.Greater(t, len(listed[stack.Ingress]), 20)
	return listed
}
