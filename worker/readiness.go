package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"

	"mailroom/shared/blob"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// readiness answers GET /readyz of the worker: 200 when every dependency of an email is
// available, else 503, with one word per dependency.
type readiness struct {
	db       *postgres.DB
	store    *blob.Store
	temporal *namespace
	scanner  scanner
}

// namespace is Temporal, as far as readiness goes.
type namespace struct {
	client.Client
	searchable atomic.Bool // it was seen to have our search attributes
}

// ready returns an error while Temporal does not answer, or cannot start any email.
func (n *namespace) ready(ctx context.Context) error {
	if _, err := n.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("ask temporal: %w", err)
	}
	if n.searchable.Load() {
		return nil
	}

	if err := temporal.CheckSearchAttributes(ctx, n); err != nil {
		return fmt.Errorf("check temporal: %w", err)
	}
	n.searchable.Store(true)
	return nil
}

// probeTimeout bounds the checks of one request.
const probeTimeout = 3 * time.Second

func (r readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	checks, ready := r.check(req.Context())
	answer := map[string]any{"ready": ready}
	for part, word := range checks {
		answer[part] = word
	}
	if note := r.scanner.Note(); note != "" && answer["scanner"] == ledger.CheckOK {
		answer["scanner"] = note
	}

	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer) // fails only when the caller has gone
}

// check checks all dependencies at once. It returns a word or a sentence for each, and
// whether all are available.
func (r readiness) check(ctx context.Context) (words map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	checks := map[string]func(context.Context) error{
		"postgres": r.db.Ping,
		"blob":     r.store.Ready,
		"scanner":  r.scanner.Ready,
		"temporal": r.temporal.ready,
	}

	type finding struct {
		part string
		err  error
	}
	found := make(chan finding, len(checks))
	for part, check := range checks {
		go func() { found <- finding{part, check(ctx)} }()
	}

	words, ready = map[string]string{}, true
	for range checks {
		f := <-found
		words[f.part] = ledger.CheckOK
		if f.err != nil {
			words[f.part], ready = ledger.CheckUnavailable, false
		}
		if fault.Is(f.err, fault.ConfigInvalid) { // it answers, and waiting does not help
			words[f.part] = fault.From(f.err).Public
		}
	}
	return words, ready
}
