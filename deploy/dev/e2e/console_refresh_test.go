package e2e_test

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/browser"
)

// refreshWhile has a part of the page refreshed, and runs a script between the answer
// and the moment that the part is made again. It returns when that is done.
func refreshWhile(p *browser.Page, part, script string) {
	browser.Eval[bool](p, fmt.Sprintf(`(() => {
		delete document.body.dataset.refreshed;
		document.addEventListener("htmx:beforeSwap", () => { %s }, { capture: true, once: true });
		document.addEventListener("htmx:afterRequest", () => { document.body.dataset.refreshed = "yes" }, { once: true });
		htmx.trigger(document.querySelector(%q), "refresh");
		return true;
	})()`, script, part))
	p.Until(`document.body.dataset.refreshed === "yes"`)
}

// refreshedWhileOpened: a panel that is opened while the page asks for what is new
// stays open, with what is written in it.
func refreshedWhileOpened(w *world) {
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/destinations")
	p.Says("accounting")
	refreshWhile(p, "#destinations", `
		const panel = document.querySelector("details.act");
		panel.open = true;
		panel.querySelector("[name=note]").value = "half a sen"`)
	require.Equal(w.t, "half a sen", browser.Eval[string](p, `document.querySelector("details.act[open] [name=note]")?.value ?? "closed"`))
}

// refreshedWhileWritten: the reason for a decision that is written meanwhile stays too.
func refreshedWhileWritten(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(operatorToken)
	p.Go(w.page(id))
	p.Visible("#note")
	refreshWhile(p, "#decision", `document.querySelector("#note").value = "half a sen"`)
	require.Equal(w.t, "half a sen", browser.Eval[string](p, `document.querySelector("#note").value`))
	p.Says("This email has changed since you began to write")
	browser.Eval[bool](p, `(() => { document.querySelector("#note").value = ""; return true })()`)
	refreshWhile(p, "#decision", "")
	require.False(w.t, browser.Eval[bool](p, `document.body.innerText.includes("since you began to write")`), "it is made again as soon as nothing is written")
}
