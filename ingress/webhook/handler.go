package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"mailroom/ingress/accept"
	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/signature"
	"mailroom/ingress/source"
	"mailroom/shared/acceptance"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/telemetry"
)

// endpoint is a source and the gate before it.
type endpoint struct {
	*source.Source
	gate *guard.Gate
}

// receiver answers the requests of all sources: it verifies each, and hands its event to
// the accepter.
type receiver struct {
	logger   *slog.Logger
	metrics  *metrics
	refusals *refusals
	proxies  *guard.Proxies
	throttle *guard.Throttle
	crowd    *guard.Crowd
	// backpressure learns of the inbox from the server's health.
	backpressure *guard.Backpressure
	audit        Audit
	keys         KeyUse
	bodies       *bodyReader
	uploader     Uploader
	accepter     Accepter
	now          func() time.Time
	// chunkTime is how long a chunk of a body may take.
	chunkTime time.Duration
}

// serveWebhook answers one webhook request.
func (rc *receiver) serveWebhook(w http.ResponseWriter, r *http.Request, src *endpoint) {
	caller := rc.proxies.Client(r)
	accepted, err := rc.acceptRequest(r, rc.paceBody(w, r.Body), src, caller, w.Header().Get(correlationHeader))
	if err != nil {
		rc.rejectRequest(w, r, src.Source, err)
		return
	}

	duplicate := accepted.Outcome == postgres.Duplicate
	rc.metrics.accepted.WithLabelValues(src.Name, string(accepted.Outcome)).Inc()
	if duplicate {
		rc.metrics.duplicates.WithLabelValues(src.Name).Inc()
	}

	e := accepted.Row.Email
	respond(w, http.StatusOK, acceptedAnswer{OK: true, Status: "ok", ID: e.EventID, Duplicate: duplicate})
	rc.logger.Info("event.received", append(telemetry.Attrs(e),
		slog.Int64("size", e.Size), slog.String("outcome", string(accepted.Outcome)))...)
}

// rejectRequest answers a request that is not accepted; src is nil if its path belongs to
// no source.
func (rc *receiver) rejectRequest(w http.ResponseWriter, r *http.Request, src *source.Source, err error) {
	f := fault.From(err)
	var table answers = source.WithoutSource()
	name := "none"
	if src != nil {
		table, name = src, src.Name
	}
	rc.metrics.refused.WithLabelValues(name, string(f.Code)).Inc()

	var cause error
	if f.Temporary || f.Code == fault.BodyIncomplete { // not the sender's doing
		cause = f.Err
	}
	rc.refusals.record(name, f.Code, rc.proxies.Client(r), cause)

	refuse(w, table, f)
}

// acceptRequest verifies a request, reads the event in it and makes it durable, in this
// order. Before the signature is verified it reads headers and bytes only, the bytes from
// content.
func (rc *receiver) acceptRequest(r *http.Request, content *pacedBody, src *endpoint, caller netip.Addr, correlation string,
) (postgres.Accepted, error) {
	visit, leave, err := rc.admitRequest(r, src, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer leave()

	encoding, err := checkHeaders(r, src.Source)
	if err != nil {
		return postgres.Accepted{}, err
	}
	b, verified, err := rc.verifyBody(r, content.endWhenDisplaced(visit), src.Source, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer func() { b.Close() }()

	if err := src.gate.Spend(rc.now()); err != nil {
		return postgres.Accepted{}, err
	}

	if encoding != "" {
		decoded, err := rc.bodies.decode(visit, b, encoding, src.MaxBody)
		if err != nil {
			return postgres.Accepted{}, err
		}
		b.Close()
		b = decoded
	}

	row, err := rc.newAcceptance(b, src.Source, verified, correlation)
	if err != nil {
		return postgres.Accepted{}, err
	}
	if row.Body, row.BodyKey, err = rc.storeBody(r.Context(), b, row.WorkflowID); err != nil {
		return postgres.Accepted{}, err
	}

	// The answer does not depend on whether the sender still listens: what is
	// durable is a duplicate when it asks again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), accept.Timeout)
	defer cancel()
	return rc.accepter.Accept(ctx, row)
}

// admitRequest decides about a request by nothing but its source and its caller's
// address. leave must be called if there is no error.
func (rc *receiver) admitRequest(r *http.Request, src *endpoint, caller netip.Addr) (visit *guard.Visit, leave func(), err error) {
	now := rc.now()
	if wait, refused := rc.throttle.Refused(caller, now); refused {
		return nil, nil, fault.New(fault.Throttled, "too many requests from this address were not authentic").After(wait)
	}
	if err := rc.backpressure.Check(now); err != nil {
		return nil, nil, err
	}

	visit, ok := rc.crowd.Enter(caller, len(r.Header["X-Forwarded-For"]) > 0)
	if !ok {
		return nil, nil, fault.New(fault.Overloaded, "too many requests are being received at the moment")
	}
	leaveGate, err := src.gate.Enter(caller)
	if err != nil {
		visit.Leave()
		return nil, nil, err
	}

	return visit, func() {
		leaveGate()
		visit.Leave()
	}, nil
}

// verifyBody reads the body from content and checks its signature on the way. It returns
// only a body that is complete and authentic, and which key vouches for it; the caller
// closes the body.
func (rc *receiver) verifyBody(r *http.Request, content *pacedBody, src *source.Source, caller netip.Addr,
) (*body, contract.Verified, error) {
	var unverified contract.Verified
	scheme, err := signature.Select(src.Schemes, r.Header)
	if err != nil {
		rc.recordVerification(src, "none", 0, caller, err)
		return nil, unverified, err
	}
	verifier, err := scheme.Begin(r.Header, rc.now())
	if err != nil {
		rc.recordVerification(src, scheme.Name(), 0, caller, err)
		return nil, unverified, err
	}

	b, err := rc.bodies.read(content.visit, content, r.ContentLength, src.MaxBody, verifier)
	if err != nil {
		if fault.Is(err, fault.BodyIncomplete) { // a stranger begins many bodies cheaply if it need not end them
			rc.throttle.Failed(caller, rc.now())
		}
		return nil, unverified, err
	}

	key, err := verifier.Verify()
	rc.recordVerification(src, scheme.Name(), key, caller, err)
	if err != nil {
		b.Close()
		return nil, unverified, err
	}
	content.visit.MarkAuthentic()
	return b, contract.Verified{Scheme: scheme.Name(), Key: key, Ref: src.KeyRef(key)}, nil
}

// recordVerification counts one check of a signature, and remembers the address that
// failed it.
func (rc *receiver) recordVerification(src *source.Source, scheme string, key int, caller netip.Addr, err error) {
	now := rc.now()
	if err != nil {
		code := fault.From(err).Code
		rc.throttle.Failed(caller, now)
		rc.audit.Add(authlog.Failure{Source: src.Name, Scheme: scheme, Code: code, Address: caller, At: now})
		rc.metrics.verifications.WithLabelValues(src.Name, scheme, "none", string(code)).Inc()
		return
	}

	rc.keys.RecordUse(src.Name, key, now)
	rc.metrics.verifications.WithLabelValues(src.Name, scheme, strconv.Itoa(key), "ok").Inc()
}

// newAcceptance returns the row of an authentic body, without the body itself.
func (rc *receiver) newAcceptance(b *body, src *source.Source, verified contract.Verified, correlation string) (postgres.Acceptance, error) {
	row, found, err := acceptance.New(acceptance.Event{
		Source: src.Name, Tenant: src.Tenant, CorrelationID: correlation, Strict: src.Strict, Policy: src,
		Body: b.open(), BodySHA256: b.sum, Size: b.size, ReceivedAt: rc.now(), Verified: verified,
	})
	if err != nil {
		return row, err
	}

	rc.metrics.unknownFields.WithLabelValues(src.Name).Add(float64(found.Unknown))
	if found.Held != "" {
		rc.metrics.kept.WithLabelValues(src.Name, string(found.Held)).Inc()
	}
	return row, nil
}

// storeBody puts a body where the row can name it: into the row, or under a key of the
// object store. While that is unavailable, a body that a row may hold goes into the row.
func (rc *receiver) storeBody(ctx context.Context, b *body, workflowID string) (inline []byte, key string, err error) {
	if b.small() {
		return b.inline, "", nil
	}

	key = contract.EventBodyKey(b.sum, workflowID) // a repeat writes the same object
	err = rc.uploader.Upload(ctx, key, b.open())
	if err == nil {
		return nil, key, nil
	}
	b.torn = true
	if b.size > contract.MaxFallbackBody {
		return nil, "", err
	}

	inline, copyErr := b.bytes()
	if copyErr != nil {
		return nil, "", errors.Join(err, copyErr)
	}
	rc.metrics.inlined.Inc()
	return inline, "", nil
}
