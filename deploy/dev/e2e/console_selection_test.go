package e2e_test

import (
	"fmt"

	"github.com/stretchr/testify/require"
)

// selectedRow decides about one of two emails by its checkbox in the inbox, without scripts.
func selectedRow(w *world) {
	id := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	other := w.heldFor(shapeA(newID(), "careful"), "manual_hold")
	p := w.signIn(operatorToken)
	p.NoScripts()
	p.Go(w.OperatorURL() + "/inbox?reason=manual_hold")
	p.Click("#selection button")
	p.Says("No email is selected")

	p.Go(w.OperatorURL() + "/inbox?reason=manual_hold")
	p.Click(fmt.Sprintf("tr:has(a[href*=%q]) input[name=pick]", id))
	p.Click("#selection button")
	p.Says("1 email that you selected")
	p.Click("input[name=action][value=approve]")
	p.Fill("#note", "this one is fine")
	p.Click("button[value=plan]")
	p.Says("Type 1 to confirm")
	p.Fill("#count", "1")
	p.Click("button[value=start]")
	w.until(id, "delivered")
	require.Equal(w.t, "quarantined", w.email(other).State)
}
