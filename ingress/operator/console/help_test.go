package console

import (
	"cmp"
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

// sectionsOf returns the ids of the headings of a page.
func sectionsOf(page string) map[string]bool {
	ids := map[string]bool{}
	for _, m := range headingID.FindAllStringSubmatch(page, -1) {
		ids[m[1]] = true
	}
	return ids
}

// TestHelpFits follows Help of every page to a section of the manual. Each area has one of
// its own, and so has a page that is about one reason or state.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sections := map[string]string{}

	for _, path := range everyPage {
		m := helpHref.FindStringSubmatch(b.get(t, root, path).Body.String())
		require.NotNil(t, m, path)
		rec := b.get(t, root, "/help/"+m[1])
		require.Equal(t, http.StatusOK, rec.Code, path)
		if m[2] != "" {
			require.True(t, sectionsOf(rec.Body.String())[m[2]], "%s: there is no section %s", path, m[2])
		}
		sections[path] = strings.TrimSuffix(m[1]+"#"+m[2], "#")
	}

	for _, a := range areas(root) {
		require.NotEmpty(t, helpOf[a.Name], a.Name)
		require.Equal(t, helpOf[a.Name], sections[a.Path], a.Path)
	}
	for path, want := range map[string]string{
		"/inbox?reason=infected":                         "runbook#infected",
		"/emails/evt_0001?source=mailparse":              "runbook#infected",
		"/emails/evt_0003?source=mailparse&done=approve": "runbook#by-symptom",
		"/emails/evt_0001/raw?source=mailparse":          helpOf["emails"],
		"/replays/7":                                     "replay",
	} {
		require.Equal(t, want, sections[path], path)
	}
}

// TestHelpAboutStates looks for the section of each state and reason.
func TestHelpAboutStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	there := sectionsOf(b.get(t, root, "/help/runbook").Body.String())
	sections := map[contract.State]string{contract.Retrying: "retrying-for-a-day", contract.Processing: "processing-for-an-hour"}
	for _, state := range contract.States {
		for _, r := range contract.Reasons {
			email := b.emails.emails[0].EmailRow
			email.State, email.Reason = state, r
			want := cmp.Or(sections[state], "by-symptom")
			if state == contract.Quarantined {
				want = string(r)
			}
			require.Equal(t, "runbook#"+want, helpAbout(&email), "%s, %s", state, r)
			require.True(t, there[want], "the runbook has no section %s", want)
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
		for id := range sectionsOf(pages[path]) {
			ids[path+"#"+id] = true
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
