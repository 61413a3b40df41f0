package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Finding is one rule of accessibility that a page breaks.
type Finding struct {
	Rule   string   `json:"id"`
	Impact string   `json:"impact"` // minor, moderate, serious or critical
	Help   string   `json:"help"`
	Where  []string `json:"where"` // selectors
}

// String returns one line for people.
func (f Finding) String() string {
	return fmt.Sprintf("%s (%s): %s at %v", f.Rule, f.Impact, f.Help, f.Where)
}

// Serious returns the violations of WCAG 2.2 AA on the page that axe-core, the script at path,
// classifies as serious or critical. The script runs in an isolated world, to which the page's
// Content-Security-Policy does not apply.
func (p *Page) Serious(path string) []Finding {
	p.t.Helper()
	script, err := os.ReadFile(path) //nolint:gosec // the checker of the tests
	require.NoError(p.t, err)

	const run = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], iframes: false, resultTypes: ["violations"]})
.then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
.map(v => ({id: v.id, impact: v.impact, help: v.help, where: v.nodes.slice(0, 5).map(n => n.target.join(" "))}))))`
	var text string
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		tree, err := page.GetFrameTree().Do(ctx)
		if err != nil {
			return err
		}
		world, err := page.CreateIsolatedWorld(tree.Frame.ID).Do(ctx)
		if err != nil {
			return err
		}
		for _, source := range []string{string(script) + ";0", run} {
			value, thrown, err := runtime.Evaluate(source).WithContextID(world).WithAwaitPromise(true).WithReturnByValue(true).Do(ctx)
			if err != nil {
				return err
			}
			if thrown != nil {
				return thrown
			}
			text = string(value.Value)
		}
		return nil
	}))

	var inner string
	require.NoError(p.t, json.Unmarshal([]byte(text), &inner))
	var findings []Finding
	require.NoError(p.t, json.Unmarshal([]byte(inner), &findings))
	return findings
}
