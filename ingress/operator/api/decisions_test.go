package api

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, action := range contract.Actions {
		b := setup(t)
		b.decider.result = contract.DecisionResult{State: contract.Quarantined, Missing: 1, Delivered: []string{"crm"}}
		body, intent := `{"action":"`+string(action)+`","note":"two\nlines"`, ledger.Intent{EmailID: 7, State: contract.Quarantined, Action: action, Note: "two\nlines", Actor: "olga", Person: "olga"}
		switch action {
		case contract.Edited:
			body += `,"edit":{"to":["crm"]}`
			intent.EditID, intent.From = 3, contract.StepRoute
		case contract.Retry:
			body += `,"from":"inspect"`
			intent.From = contract.StepInspect
		}
		for client, via := range map[string]contract.Via{"": contract.ViaAPI, "mailctl": contract.ViaMailctl, "console": contract.ViaAPI} {
			b.decider.calls, b.decider.intents = nil, nil
			req, err := http.NewRequestWithContext(t.Context(), "POST", b.server.URL+emailURL+"/decisions?source=mailparse", strings.NewReader(body+"}"))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer token-operator")
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Mailroom-Client", client)
			resp, err := b.server.Client().Do(req)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
			require.JSONEq(t, `{"ok":true,"event_id":"evt/1+2 %41","source":"mailparse","action":"`+string(action)+`","state":"quarantined","missing":1,"delivered":["crm"]}`, string(text))
			intent.Via = via
			require.Equal(t, []ledger.Intent{intent}, b.decider.intents)
			require.Equal(t, []taken{{"wf-1", contract.Decision{Intent: 1}}}, b.decider.seen())
		}
	}
}

// TestAnIDOfTwoSourcesAsksForOne: no caller decides about, or gets the content of,
// another source's email.
func TestAnIDOfTwoSourcesAsksForOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.others = []string{"postmark"}
	for _, r := range []struct {
		method, path, body string
		status             int
		code               fault.Code
	}{
		{"POST", "/decisions", approveBody, http.StatusConflict, fault.DecisionRefused},
		{"GET", "/raw", "", http.StatusBadRequest, fault.RequestInvalid},
		{"GET", "/raw?part=mime", "", http.StatusBadRequest, fault.RequestInvalid},
		{"GET", "/attachments/" + sum(cleanContent), "", http.StatusBadRequest, fault.RequestInvalid},
	} {
		resp, body := b.do(t, r.method, emailURL+r.path, "operator", r.body)
		requireRefused(t, resp, body, r.status, r.code)
		require.Contains(t, body, "?source=")
		require.Empty(t, b.decider.seen())
	}
	resp, body := b.do(t, "GET", emailURL, "operator", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	for _, path := range []string{"/raw", "/attachments/" + sum(cleanContent)} {
		resp, body = b.do(t, "GET", emailURL+path+"?source=mailparse", "operator", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
	}
	resp, body = b.do(t, "POST", emailURL+"/decisions?source=mailparse", "operator", approveBody)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Len(t, b.decider.seen(), 1)
}

func TestDecideRefusesBadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, status := range map[string]int{
		`{"action":"approve","note":""}`:                 400,
		`{"action":"approve","note":"  "}`:               400,
		`{"action":"approve"}`:                           400,
		`{"note":"x"}`:                                   400,
		`{"action":"release","note":"x"}`:                400,
		`{"action":"Approve","note":"x"}`:                400,
		`{"action":"approve","note":"x","actor":"root"}`: 400,
		`{"action":"approve","note":"x","via":"signal"}`: 400,
		`{"action":"approve","note":"x\u0000"}`:          400,
		`{"action":"approve","note":"x\u001b[2J"}`:       400,
		`{"action":"approve","note":"x"} {}`:             400,
		`{"action":"approve","note":"x"}}`:               400,
		`{"action":"approve","note":"x"`:                 400,
		`[]`:                                             400,
		`{"action":"approve","note":"` + strings.Repeat("x", contract.MaxNote+1) + `"}`:     400,
		`{"action":"approve","note":"` + strings.Repeat("\\u0041", contract.MaxNote) + `"}`: 200,
		`{"action":"approve","note":"` + strings.Repeat("x", maxDecision) + `"}`:            413,
	} {
		resp, text := b.do(t, "POST", emailURL+"/decisions", "operator", body)
		require.Equal(t, status, resp.StatusCode, "%.80s: %s", body, text)
		switch status {
		case 400:
			requireRefused(t, resp, text, status, fault.RequestInvalid)
		case 413:
			requireRefused(t, resp, text, status, fault.BodyTooLarge)
		}
	}
	require.Len(t, b.decider.seen(), 1)

	req, err := http.NewRequestWithContext(t.Context(), "POST", b.server.URL+emailURL+"/decisions", strings.NewReader(approveBody))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer token-admin")
	req.Header.Set("Content-Type", "text/plain")
	resp, err := b.server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)
	require.Len(t, b.decider.seen(), 1)
}

func TestDecideFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.decider.err = fault.New(fault.DecisionRefused, "this email is not held")
	resp, body := b.do(t, "POST", emailURL+"/decisions", "operator", approveBody)
	requireRefused(t, resp, body, http.StatusConflict, fault.DecisionRefused)
	require.Contains(t, body, "this email is not held")

	b.decider.err = fault.New(fault.TemporalUnavailable, "Temporal does not answer").After(1500 * time.Millisecond)
	resp, body = b.do(t, "POST", emailURL+"/decisions", "operator", approveBody)
	requireRefused(t, resp, body, http.StatusServiceUnavailable, fault.TemporalUnavailable)
	require.Equal(t, "2", resp.Header.Get("Retry-After"))
	require.NotContains(t, b.logs.String(), "quarantine.decided")

	resp, body = b.do(t, "POST", "/api/v1/emails/nobody/decisions", "operator", approveBody)
	requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
	require.Len(t, b.decider.seen(), 2)
}
