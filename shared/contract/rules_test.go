package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

func TestCheckNote(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf("the note has at most %d bytes", contract.MaxNote)
	const control = "the note must not hold control characters"
	for note, want := range map[string]string{
		"because": "", "two\nlines\tand a tab": "", "é": "", strings.Repeat("x", contract.MaxNote): "",
		"": "the note must say why", " \n\t ": "the note must say why", strings.Repeat("x", contract.MaxNote+1): long,
		"a\rb": control, "a\x00b": control, "\u0085x": control, "\xc3": control, "\xc3\n\xa9": control, "\x7f": control,
	} {
		err := contract.CheckNote(note)
		if want == "" {
			require.NoError(t, err, "%.20q", note)
			continue
		}
		require.EqualError(t, err, want, "%.20q", note)
	}
}

func TestCheckDecision(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]contract.Decision{
		"action must be one of approve, discard, retry, edit, hold": {Action: "release", Note: "x"},
		"the note must say why":                              {Action: contract.Approve},
		"edit must say what to change":                       {Action: contract.Edited, Note: "x"},
		"edit goes with the action edit alone":               {Action: contract.Retry, Note: "x", Edit: &contract.Edit{}},
		"from goes with the action retry alone":              {Action: contract.Approve, Note: "x", From: contract.StepStore},
		"from must be one of store, inspect, route, deliver": {Action: contract.Retry, Note: "x", From: "close"},
	} {
		require.EqualError(t, contract.CheckDecision(d), want)
	}
	for _, d := range []contract.Decision{
		{Action: contract.Approve, Note: "x"}, {Action: contract.Discard, Note: "control \x01"}, {Action: contract.Retry, Note: "x", From: contract.StepStore},
		{Action: contract.Edited, Note: "x", Edit: &contract.Edit{}},
	} {
		require.NoError(t, contract.CheckDecision(d))
	}
}
