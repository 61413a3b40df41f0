package console

import (
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/docs"
	"mailroom/shared/contract"
)

var (
	headingID = regexp.MustCompile(`<h[1-6] id="([^"]+)"`)
	href      = regexp.MustCompile(`<a href="([^"]+)"`)
	helpHref  = regexp.MustCompile(`<a class="help" href="/help/([^"#]+)#?([^"]*)"`)
)

// TestHelpFits follows Help of every page to a section of the manual.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sections := map[string]bool{}

	for _, path := range everyPage {
		m := helpHref.FindStringSubmatch(b.get(t, root, path).Body.String())
		require.NotNil(t, m, path)
		rec := b.get(t, root, "/help/"+m[1])
		require.Equal(t, http.StatusOK, rec.Code, path)
		if m[2] != "" {
			require.Contains(t, rec.Body.String(), `id="`+m[2]+`"`, path)
		}
		sections[m[1]+"#"+m[2]] = true
	}
	require.True(t, sections["runbook#infected"], "of the inbox of one reason")
	require.Greater(t, len(sections), 7, "pages share few sections")
}

// TestHelpAboutStates looks for the section of each state and reason.
func TestHelpAboutStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	runbook := b.get(t, root, "/help/runbook").Body.String()

	for _, state := range contract.States {
		for _, r := range contract.Reasons {
			email := b.emails.emails[0].EmailRow
			email.State, email.Reason = state, r
			page, section, _ := strings.Cut(helpAbout(&email), "#")
			require.Equal(t, "runbook", page)
			require.Contains(t, runbook, `id="`+section+`"`)
			if state == contract.Quarantined {
				require.Equal(t, string(r), section)
			}
		}
	}
}

// TestManualLeadsNowhereElse opens every page of the manual, follows its links to other
// pages of it, and finds none to files that are not served.
func TestManualLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	names, err := fs.Glob(docs.Pages, "*.md")
	require.NoError(t, err)
	require.Greater(t, len(names), 10)
	pages, ids := map[string]string{}, map[string]bool{}

	for _, name := range names {
		path := "/help/" + strings.TrimSuffix(name, ".md")
		rec := b.get(t, root, path)
		require.Equal(t, http.StatusOK, rec.Code, path)
		pages[path] = rec.Body.String()
		check(t, path, pages[path])
		require.NotContains(t, pages[path], "<img", path)
		ids[path] = true
		for _, m := range headingID.FindAllStringSubmatch(pages[path], -1) {
			ids[path+"#"+m[1]] = true
		}
	}

	for path, page := range pages {
		for _, m := range href.FindAllStringSubmatch(page, -1) {
			switch {
			case strings.HasPrefix(m[1], "#"):
				require.True(t, ids[path+m[1]] || m[1] == "#main", "%s: %s", path, m[1])
			case strings.HasPrefix(m[1], "/help/"):
				require.True(t, ids[m[1]], "%s: %s", path, m[1])
			default:
				require.Regexp(t, `^(https?://|/[a-z]*$)`, m[1], path)
			}
		}
	}
}

// TestNoOtherFileIsHelp: the name of a page is no path.
func TestNoOtherFileIsHelp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/help/nothing", "/help/..%2fgo", "/help/..", "/help/docs.go", "/help/runbook.md", "/help/receiving%2Fverify"} {
		require.NotEqual(t, http.StatusOK, b.get(t, root, path).Code, path)
	}
}
