package reason_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/reason"
)

// TestRunbook checks that every reason has a complete section, which begins with the
// sentences of this package; that fixable reasons have the command for many emails; and
// that no section is about an unknown reason.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/docs/runbook.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(s, "\n")
		sections[title] = body
	}
	for _, r := range contract.Reasons {
		x := reason.Text(r)
		body, ok := sections[x.Runbook]
		require.True(t, ok, "no section %q", x.Runbook)
		prose := strings.Join(strings.Fields(strings.ReplaceAll(body, "`", "")), " ")
		for _, part := range []string{"**What it means.** " + x.What, "**How to find out.** ", "**What helps.** " + x.Next} {
			require.Contains(t, prose, part, r)
		}
		if x.Fixable {
			require.Contains(t, body, "mailctl emails retry --all --reason "+string(r)+" ", r)
		}
		if x.Unavailable {
			require.NotContains(t, body, "--all", r)
		}
	}
	known := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for title := range sections {
		if known.MatchString(title) {
			require.Equal(t, title, reason.Text(contract.Reason(title)).Runbook, "a section of an unknown reason")
		}
	}
}

// TestCausesAreDocumented compares the codes of failed calls with what the documentation
// says of them.
func TestCausesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/docs/destinations.md")
	require.NoError(t, err)
	for _, c := range fault.Causes {
		require.Contains(t, string(text), "| `"+string(c)+"` | "+c.Sentence()+" |\n")
	}
}
