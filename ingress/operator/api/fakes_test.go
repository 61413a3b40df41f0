package api

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

var _ Blobs = (*blob.Store)(nil)

type fakeReader struct {
	email    *ledger.EmailDetail
	body     ledger.Body
	manifest *ledger.Manifest
	filter   ledger.Filter
	err      error
	panics   string
	others   []string              // sources that use the email's id as well
	more     []*ledger.EmailDetail // emails of other sources with the same id
}

func (r *fakeReader) ListEmails(_ context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error) {
	r.filter = f
	if r.email == nil {
		return nil, "", r.err
	}
	return []ledger.EmailRow{r.email.EmailRow}, "next", r.err
}

// all are the emails, and one without anything but its id for each of others.
func (r *fakeReader) all() []*ledger.EmailDetail {
	list := append([]*ledger.EmailDetail{r.email}, r.more...)
	for i, source := range r.others {
		e := *r.email
		e.ID, e.Source = int64(100+i), source
		list = append(list, &e)
	}
	return list
}

func (r *fakeReader) find(l ledger.Lookup) (list []*ledger.EmailDetail) {
	for _, e := range r.all() {
		named := e.EventID == l.EventID || e.DuplicateOf != "" && e.WorkflowID == l.EventID
		if l.Number != 0 && l.Number != e.ID || l.Number == 0 && (!named || l.Source != "" && l.Source != e.Source) ||
			l.Tenants != nil && !slices.Contains(l.Tenants, e.Tenant) {
			continue
		}
		list = append(list, e)
	}
	return list
}

func (r *fakeReader) FindEmail(_ context.Context, l ledger.Lookup) (*ledger.EmailDetail, error) {
	if r.panics != "" {
		panic(r.panics)
	}
	if r.err != nil {
		return nil, r.err
	}
	if list := r.find(l); len(list) > 0 {
		return list[0], nil
	}
	return nil, fault.New(fault.NotFound, "no email with this id")
}

func (r *fakeReader) Matches(_ context.Context, l ledger.Lookup) ([]ledger.Match, error) {
	if r.panics != "" {
		panic(r.panics)
	}
	if r.err != nil {
		return nil, r.err
	}
	var out []ledger.Match
	for _, e := range r.find(l) {
		out = append(out, ledger.Match{Number: e.ID, Source: e.Source})
	}
	return out, nil
}

func (r *fakeReader) Body(_ context.Context, emailID int64) (ledger.Body, error) {
	if emailID != r.email.ID {
		return ledger.Body{}, fault.New(fault.NotFound, "no such email")
	}
	return r.body, r.err
}

func (r *fakeReader) Manifest(_ context.Context, emailID int64) (*ledger.Manifest, error) {
	if emailID != r.email.ID {
		return nil, fault.New(fault.NotFound, "no such email")
	}
	return r.manifest, r.err
}

type fakeBlobs struct {
	objects map[string]string
	buckets map[string]blob.Bucket
	err     error
	wrap    func(io.Reader) io.Reader
}

func (f *fakeBlobs) Get(_ context.Context, bucket blob.Bucket, key string) (io.ReadCloser, error) {
	content, ok := f.objects[key]
	if f.err != nil || !ok || f.buckets[key] != bucket {
		return nil, errors.Join(f.err, fault.New(fault.ContentLost, "the object is gone"))
	}
	var r io.Reader = strings.NewReader(content)
	if f.wrap != nil {
		r = f.wrap(r)
	}
	return io.NopCloser(r), nil
}

type taken struct {
	workflowID string
	decision   contract.Decision
}

// fakeDecider is what the decision service has behind it: where decisions are written down,
// and the workflows.
type fakeDecider struct {
	mu      sync.Mutex
	calls   []taken
	intents []ledger.Intent
	result  contract.DecisionResult
	err     error
}

func (d *fakeDecider) Decide(_ context.Context, workflowID string, decision contract.Decision) (contract.DecisionResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, taken{workflowID, decision})
	return d.result, d.err
}

func (d *fakeDecider) DecideRefused(context.Context, int64, int64) (contract.DecisionResult, error) {
	return d.result, d.err
}

func (d *fakeDecider) CreateIntent(_ context.Context, in ledger.Intent) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.intents = append(d.intents, in)
	return int64(len(d.intents)), nil
}

func (d *fakeDecider) LastDecision(context.Context, int64) (ledger.DecisionRow, bool, error) {
	return ledger.DecisionRow{}, false, nil
}

func (d *fakeDecider) SaveEdit(context.Context, contract.SaveEditInput) (contract.SaveEditResult, error) {
	return contract.SaveEditResult{EditID: 3, From: contract.StepRoute}, nil
}

// service returns a decision service in front of the fake.
func (d *fakeDecider) service(t *testing.T, logger *slog.Logger) *decision.Service {
	t.Helper()
	out, err := decision.New(decision.Deps{Intents: d, Decider: d, Edits: d, Logger: logger})
	require.NoError(t, err)
	return out
}

func (d *fakeDecider) seen() []taken {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]taken(nil), d.calls...)
}

// plainPages are the login and refusals without the console's looks.
type plainPages struct{}

func (plainPages) Login(w io.Writer, p access.LoginPage) error {
	_, err := fmt.Fprintf(w, `<p role="alert">%s</p><input name="next" value="%s">`, html.EscapeString(p.Problem), html.EscapeString(p.Next))
	return err
}

func (plainPages) Refused(w io.Writer, p access.RefusedPage) error {
	_, err := fmt.Fprintf(w, `<h1>%s</h1><p>%s</p>`, html.EscapeString(p.Title), html.EscapeString(p.Message))
	return err
}
