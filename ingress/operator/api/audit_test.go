package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/ledger"
)

// fakeAuditor has a chain of three entries.
type fakeAuditor struct {
	actor, via string
	emailID    int64
	after      int64
	limit      int
	wrong      []ledger.AuditDifference
	err        error
}

func (a *fakeAuditor) Timeline(_ context.Context, emailID int64) ([]ledger.TimelineEntry, error) {
	a.emailID = emailID
	return []ledger.TimelineEntry{{Kind: ledger.TimeReceived, Title: "Received"}}, a.err
}

func (a *fakeAuditor) ExportCustody(_ context.Context, emailID int64, actor, via string) (*auditchain.Document, error) {
	a.emailID, a.actor, a.via = emailID, actor, via
	return &auditchain.Document{Format: auditchain.Format}, a.err
}

func (a *fakeAuditor) Audit(_ context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	a.after, a.limit = after, limit
	if after >= 3 {
		return nil, a.err
	}
	return []auditchain.Entry{{Seq: after + 1}}, a.err
}

func (a *fakeAuditor) AuditHead(context.Context) (auditchain.Head, error) {
	return auditchain.Head{Seq: 3}, a.err
}

func (a *fakeAuditor) CheckDecisions(context.Context, int) (int64, []ledger.AuditDifference, error) {
	return 5, append([]ledger.AuditDifference{}, a.wrong...), a.err
}

func TestShowHasATimeline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, http.MethodGet, emailURL, "viewer", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, body, `"timeline":[{"at":`)
	require.EqualValues(t, 7, b.auditor.emailID)
}

func TestCustodyNotesWhoHadIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, http.MethodGet, emailURL+"/custody", "operator", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, body, auditchain.Format)
	require.Equal(t, "olga", b.auditor.actor)
	require.Equal(t, "api", b.auditor.via)
	resp, _ = b.do(t, http.MethodGet, emailURL+"/custody", "foreign", "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, "olga", b.auditor.actor, "nothing was exported")
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, http.MethodGet, "/api/v1/audit?after=2&limit=7", "admin", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, [2]int{2, 7}, [2]int{int(b.auditor.after), b.auditor.limit})
	var page auditEntries
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	require.EqualValues(t, 3, page.Head.Seq)
	require.Len(t, page.Entries, 1)
	_, body = b.do(t, http.MethodGet, "/api/v1/audit?after=3", "admin", "")
	require.Contains(t, body, `"entries":[]`)
	for _, query := range []string{"after=-1", "after=x", "limit=0", "limit=1001", "limit=x", "other=1"} {
		resp, _ := b.do(t, http.MethodGet, "/api/v1/audit?"+query, "admin", "")
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
	}
}
