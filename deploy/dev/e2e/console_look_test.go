package e2e_test

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/browser"
)

// brokenWords returns the words of at most 16 letters that a page continues on the next
// line, also those of addresses and media types. Ids and code may break anywhere.
func brokenWords(p *browser.Page) []string {
	return browser.Eval[[]string](p, `(() => {
		const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		for (let text = texts.nextNode(); text; text = texts.nextNode()) {
			if (text.parentElement.closest("code, pre, .id, .hidden, .skip, script, [hidden], dialog:not([open])")) continue;
			for (const word of text.data.matchAll(/(?<![^\s(@./])[A-Za-z]{2,16}(?![^\s.,:;)?@/])/g)) {
				const range = document.createRange();
				range.setStart(text, word.index);
				range.setEnd(text, word.index + word[0].length);
				const lines = new Set(Array.from(range.getClientRects(), r => Math.round(r.top)));
				if (lines.size > 1) found.push(word[0]);
			}
		}
		return found;
	})()`)
}

// hiddenTabs returns the entries of the navigation that are not in view as a whole.
func hiddenTabs(p *browser.Page) []string {
	return browser.Eval[[]string](p, `(() => {
		const nav = document.querySelector("nav.areas"), hidden = [];
		for (const tab of nav.querySelectorAll("a")) {
			const at = tab.getBoundingClientRect(), frame = nav.getBoundingClientRect();
			const inside = at.left >= frame.left - 1 && at.right <= frame.right + 1 && at.right <= innerWidth && at.bottom <= frame.bottom + 1;
			const found = document.elementFromPoint((at.left + at.right) / 2, (at.top + at.bottom) / 2);
			if (!inside || !tab.contains(found)) hidden.push(tab.textContent);
		}
		return hidden;
	})()`)
}

// keysAndFields: a key that is a shortcut is typed nowhere, and what is typed into a field
// is no shortcut.
func keysAndFields(w *world) {
	id := newID()
	w.heldFor(shapeA(id, "careful"), "manual_hold")
	p := w.signIn(operatorToken)
	p.Go(w.OperatorURL() + "/inbox")
	p.Press("gm")
	p.Until(`location.pathname === "/emails"`)
	p.Visible("a.row")
	p.Press("j")
	p.Until(`document.activeElement.classList.contains("row")`)
	require.Empty(w.t, browser.Eval[string](p, `document.querySelector("#q").value`), "a shortcut was searched for")

	down := func(repeats bool) bool { // whether it is typed
		return browser.Eval[bool](p, fmt.Sprintf(`document.activeElement.dispatchEvent(
			new KeyboardEvent("keydown", { key: "/", repeat: %t, bubbles: true, cancelable: true }))`, repeats))
	}
	require.False(w.t, down(false))
	p.Until(`document.activeElement.id === "q"`)
	require.False(w.t, down(true), "the key is still down, and repeats")
	p.Press("/")
	require.Equal(w.t, "/", browser.Eval[string](p, `document.querySelector("#q").value`), "a slash that is typed")
	p.Press("jgi?")
	require.Equal(w.t, "/jgi?", browser.Eval[string](p, `document.querySelector("#q").value`))
	require.Zero(w.t, p.Count("dialog[open]"))
	require.Contains(w.t, p.Where(), "/emails")

	// From a page without a search field.
	p.Go(w.OperatorURL() + "/destinations")
	p.Visible("#destinations")
	p.Press("/")
	p.Until(`location.pathname === "/emails" && document.activeElement?.id === "q"`)
	require.Empty(w.t, browser.Eval[string](p, `document.querySelector("#q").value`))
	p.Press("x")
	require.Equal(w.t, "x", browser.Eval[string](p, `document.querySelector("#q").value`))
}
