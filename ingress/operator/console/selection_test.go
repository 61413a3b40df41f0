package console

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// TestSelectSingleRows decides about rows of the inbox without JavaScript: the form of the
// checkboxes leads to the form of a batch, which names the emails as they were then.
func TestSelectSingleRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	boxes := func(who access.Identity) (out []string) {
		page := b.get(t, who, "/inbox").Body.String()
		for _, m := range regexp.MustCompile(`<input type="checkbox" name="pick" value="([^"]+)" form="selection"`).FindAllStringSubmatch(page, -1) {
			out = append(out, m[1])
		}
		return out
	}
	require.Equal(t, []string{"1.10.infected", "2.20.unroutable"}, boxes(ada))
	require.Empty(t, boxes(vera), "a viewer decides nothing")
	mixed := access.Identity{Name: "max", Roles: map[string]access.Role{"default": access.Viewer, "other": access.Operator}}
	require.Empty(t, boxes(mixed), "nor does an operator of another tenant")
	check(t, "inbox", b.get(t, ada, "/inbox").Body.String())

	form := url.Values{"state": {"held"}, "selected": {"yes"}, "pick": boxes(ada)}
	page := b.get(t, ada, "/replays/new?"+form.Encode()).Body.String()
	require.Contains(t, page, "2 emails that you selected.")
	for _, value := range []string{"1.10", "2.20"} {
		require.Contains(t, page, `<input type="hidden" name="pick" value="`+value+`">`)
	}
	require.NotContains(t, page, `name="sender"`, "no other filter goes with it")
	check(t, "selected", page)

	post := url.Values{"state": {"held"}, "reason": {""}, "pick": {"1.10", "2.20"}, "action": {"discard"}, "rate": {"50"}, "note": {"spam"}, "from": {"held"}}
	require.Equal(t, http.StatusSeeOther, b.post(t, ada, "/replays", post).Code)
	require.Equal(t, batch.Filter{State: contract.Quarantined, Emails: []ledger.Chosen{{Number: 1, Version: 10}, {Number: 2, Version: 20}}},
		b.fakes.planned[0].Filter)
}

func TestSelectionOfOneReasonIsAboutIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get(t, ada, "/replays/new?state=held&selected=yes&pick=1.10.infected&pick=3.30.infected").Body.String()
	require.Contains(t, page, "2 emails that you selected, held as Infected.")
	require.Contains(t, page, `<input type="hidden" name="reason" value="infected">`)

	b.fakes.counted = true
	b.fakes.replayed.Emails = make([]ledger.Chosen, 433)
	page = b.get(t, ada, "/replays/8").Body.String()
	require.Contains(t, page, "2 selected emails are left out: changed since you looked.")
	require.Contains(t, page, "<dt>Selected</dt><dd><bdi>433 emails</bdi></dd>")
}

func TestSelectionRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for query, says := range map[string]string{
		"selected=yes&state=held": "No email is selected",
		"pick=1":                  "no selection of the inbox", "pick=0.1": "no selection of the inbox", "pick=1.-1": "no selection of the inbox",
		"pick=x.1": "no selection of the inbox", "pick=1.10.bad": "There is no such reason",
	} {
		rec := b.get(t, ada, "/replays/new?"+query)
		require.Equal(t, http.StatusBadRequest, rec.Code, query)
		require.Contains(t, rec.Body.String(), says, query)
	}
}
