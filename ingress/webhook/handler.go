package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"

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

// serveWebhook answers one webhook request.
func (s *Server) serveWebhook(w http.ResponseWriter, r *http.Request, src *endpoint) {
	caller := s.proxies.Client(r)
	accepted, err := s.acceptRequest(r, s.paceBody(w, r.Body), src, caller, w.Header().Get(correlationHeader))
	if err != nil {
		s.rejectRequest(w, r, src.Source, err)
		return
	}

	duplicate := accepted.Outcome == postgres.Duplicate
	s.metrics.accepted.WithLabelValues(src.Name, string(accepted.Outcome)).Inc()
	if duplicate {
		s.metrics.duplicates.WithLabelValues(src.Name).Inc()
	}

	e := accepted.Row.Email
	respond(w, http.StatusOK, acceptedAnswer{OK: true, Status: "ok", ID: e.EventID, Duplicate: duplicate})
	s.logger.Info("event.received", append(telemetry.Attrs(e),
		slog.Int64("size", e.Size), slog.String("outcome", string(accepted.Outcome)))...)
}

// rejectRequest answers a request that is not accepted; src is nil if its path belongs to
// no source.
func (s *Server) rejectRequest(w http.ResponseWriter, r *http.Request, src *source.Source, err error) {
	f := fault.From(err)
	var table answers = source.WithoutSource()
	name := "none"
	if src != nil {
		table, name = src, src.Name
	}
	s.metrics.refused.WithLabelValues(name, string(f.Code)).Inc()

	var cause error
	if f.Temporary || f.Code == fault.BodyIncomplete { // not the sender's doing
		cause = f.Err
	}
	s.refusals.record(name, f.Code, s.proxies.Client(r), cause)

	refuse(w, table, f)
}

// acceptRequest verifies a request, reads the event in it and makes it durable, in this
// order. Before the signature is verified it reads headers and bytes only, the bytes from
// content.
func (s *Server) acceptRequest(r *http.Request, content *pacedBody, src *endpoint, caller netip.Addr, correlation string,
) (postgres.Accepted, error) {
	visit, leave, err := s.admitRequest(r, src, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer leave()

	encoding, err := checkHeaders(r, src.Source)
	if err != nil {
		return postgres.Accepted{}, err
	}
	b, verified, err := s.verifyBody(r, content.endWhenDisplaced(visit), src.Source, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer func() { b.Close() }()

	if err := src.gate.Spend(s.now()); err != nil {
		return postgres.Accepted{}, err
	}

	if encoding != "" {
		decoded, err := s.decodeBody(visit, b, encoding, src.MaxBody)
		if err != nil {
			return postgres.Accepted{}, err
		}
		b.Close()
		b = decoded
	}

	row, err := s.newAcceptance(b, src.Source, verified, correlation)
	if err != nil {
		return postgres.Accepted{}, err
	}
	if row.Body, row.BodyKey, err = s.storeBody(r.Context(), b, row.WorkflowID); err != nil {
		return postgres.Accepted{}, err
	}

	// The answer does not depend on whether the sender still listens: what is
	// durable is a duplicate when it asks again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), accept.Timeout)
	defer cancel()
	return s.accepter.Accept(ctx, row)
}

// admitRequest decides about a request by nothing but its source and its caller's
// address. leave must be called if there is no error.
func (s *Server) admitRequest(r *http.Request, src *endpoint, caller netip.Addr) (visit *guard.Visit, leave func(), err error) {
	now := s.now()
	if wait, refused := s.throttle.Refused(caller, now); refused {
		return nil, nil, fault.New(fault.Throttled, "too many requests from this address were not authentic").After(wait)
	}
	if err := s.backpressure.Check(now); err != nil {
		return nil, nil, err
	}

	visit, ok := s.crowd.Enter(caller, len(r.Header["X-Forwarded-For"]) > 0)
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
func (s *Server) verifyBody(r *http.Request, content *pacedBody, src *source.Source, caller netip.Addr,
) (*body, contract.Verified, error) {
	var unverified contract.Verified
	scheme, err := signature.Select(src.Schemes, r.Header)
	if err != nil {
		s.recordVerification(src, "none", 0, caller, err)
		return nil, unverified, err
	}
	verifier, err := scheme.Begin(r.Header, s.now())
	if err != nil {
		s.recordVerification(src, scheme.Name(), 0, caller, err)
		return nil, unverified, err
	}

	b, err := s.bodies.read(content.visit, content, r.ContentLength, src.MaxBody, verifier)
	if err != nil {
		if fault.Is(err, fault.BodyIncomplete) { // a stranger begins many bodies cheaply if it need not end them
			s.throttle.Failed(caller, s.now())
		}
		return nil, unverified, err
	}

	key, err := verifier.Verify()
	s.recordVerification(src, scheme.Name(), key, caller, err)
	if err != nil {
		b.Close()
		return nil, unverified, err
	}
	content.visit.MarkAuthentic()
	return b, contract.Verified{Scheme: scheme.Name(), Key: key, Ref: src.KeyRef(key)}, nil
}

// recordVerification counts one check of a signature, and remembers the address that
// failed it.
func (s *Server) recordVerification(src *source.Source, scheme string, key int, caller netip.Addr, err error) {
	now := s.now()
	if err != nil {
		code := fault.From(err).Code
		s.throttle.Failed(caller, now)
		s.audit.Add(authlog.Failure{Source: src.Name, Scheme: scheme, Code: code, Address: caller, At: now})
		s.metrics.verifications.WithLabelValues(src.Name, scheme, "none", string(code)).Inc()
		return
	}

	s.keys.RecordUse(src.Name, key, now)
	s.metrics.verifications.WithLabelValues(src.Name, scheme, strconv.Itoa(key), "ok").Inc()
}

// decodeBody returns an authentic body without its content encoding. The decoded bytes
// are bounded like any body.
func (s *Server) decodeBody(visit *guard.Visit, b *body, encoding string, limit int64) (*body, error) {
	plain, err := decoded(b.open(), encoding)
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }()
	return s.bodies.read(visit, plain, -1, limit, io.Discard)
}

// newAcceptance returns the row of an authentic body, without the body itself.
func (s *Server) newAcceptance(b *body, src *source.Source, verified contract.Verified, correlation string) (postgres.Acceptance, error) {
	row, found, err := acceptance.New(acceptance.Event{
		Source: src.Name, Tenant: src.Tenant, CorrelationID: correlation, Strict: src.Strict, Policy: src,
		Body: b.open(), BodySHA256: b.sum, Size: b.size, ReceivedAt: s.now(), Verified: verified,
	})
	if err != nil {
		return row, err
	}

	s.metrics.unknownFields.WithLabelValues(src.Name).Add(float64(found.Unknown))
	if found.Held != "" {
		s.metrics.kept.WithLabelValues(src.Name, string(found.Held)).Inc()
	}
	return row, nil
}

// storeBody puts a body where the row can name it: into the row, or under a key of the
// object store. While that is unavailable, a body that a row may hold goes into the row.
func (s *Server) storeBody(ctx context.Context, b *body, workflowID string) (inline []byte, key string, err error) {
	if b.small() {
		return b.inline, "", nil
	}

	key = contract.EventBodyKey(b.sum, workflowID) // a repeat writes the same object
	err = s.uploader.Upload(ctx, key, b.open())
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
	s.metrics.inlined.Inc()
	return inline, "", nil
}
