package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

const previewBody = `{"edit":{"to":["ticketing"],"headers":{"Subject":"x","X-A":null}}}`

func editWalks() []walk {
	return []walk{{
		method: "POST", pattern: "/api/v1/emails/:event_id/edits/preview", path: emailURL + "/edits/preview", body: previewBody,
		least: access.Operator,
	}}
}

// editor answers every preview with what it was asked.
type editor struct {
	seen []contract.Edit
	err  error
}

func (e *editor) Preview(_ context.Context, email contract.Email, edit contract.Edit) (preview.Preview, error) {
	e.seen = append(e.seen, edit)
	return preview.Preview{
		Step: contract.StepRoute, Changes: []ledger.Change{{Field: "to", Before: "", After: email.WorkflowID}}, Destinations: edit.To,
	}, e.err
}

func TestPreviewEdit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, "POST", emailURL+"/edits/preview?source=mailparse", "operator", previewBody)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.JSONEq(t, `{"step":"route","changes":[{"field":"to","before":"","after":"wf-1"}],"destinations":["ticketing"]}`, body)
	require.Len(t, b.editor.seen, 1)
	require.Nil(t, b.editor.seen[0].Headers["X-A"])
	require.Contains(t, b.editor.seen[0].Headers, "X-A")
	require.Empty(t, b.decider.seen(), "a preview decides nothing")

	b.editor.err = fault.New(fault.RequestInvalid, "edit.to[0]: is no configured destination")
	resp, body = b.do(t, "POST", emailURL+"/edits/preview", "operator", previewBody)
	requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
	require.Contains(t, body, "edit.to[0]")
}

func TestPreviewEditRefusesBadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, status := range map[string]int{
		`{}`: 400, `[]`: 400, `{"edit":null}`: 400, `{"edit":[]}`: 400, `{"edit":{"bcc":["x"]}}`: 400, `{"edit":{}} {}`: 400,
		`{"edit":{"to":"ticketing"}}`: 400, `{"edit":{},"note":"x"}`: 400,
		`{"edit":{"charset":"` + strings.Repeat("x", maxEdit) + `"}}`: 413,
	} {
		resp, text := b.do(t, "POST", emailURL+"/edits/preview", "operator", body)
		require.Equal(t, status, resp.StatusCode, "%.60s: %s", body, text)
	}
	require.Empty(t, b.editor.seen)
}
