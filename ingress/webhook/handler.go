package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"mailroom/ingress/accept"
	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/signature"
	"mailroom/ingress/source"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/payload"
	"mailroom/shared/postgres"
	"mailroom/shared/telemetry"
)

const maxCorrelationID = 128

// endpoint is a source with what stands before it.
type endpoint struct {
	*source.Source
	gate *guard.Gate
}

// receive takes one webhook from its first header to its answer.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, src *endpoint) {
	caller := s.proxies.Client(r)
	accepted, err := s.take(r, s.pace(w, r.Body), src, caller, w.Header().Get(correlationHeader))
	if err != nil {
		s.reject(w, r, src.Source, err)
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

// reject answers a request that is not accepted. src is nil where none is meant.
func (s *Server) reject(w http.ResponseWriter, r *http.Request, src *source.Source, err error) {
	f := fault.From(err)
	var table answers = source.Nobodys()
	name := "none"
	if src != nil {
		table, name = src, src.Name
	}
	s.metrics.refused.WithLabelValues(name, string(f.Code)).Inc()
	var cause error
	if f.Temporary || f.Code == fault.BodyIncomplete { // not the sender's doing
		cause = f.Err
	}
	s.refusals.add(name, f.Code, s.proxies.Client(r), cause)
	refuse(w, table, f)
}

// take verifies, looks inside and makes durable, in this order. Before the
// signature is verified it reads headers and bytes only, the bytes from content.
func (s *Server) take(r *http.Request, content *paced, src *endpoint, caller netip.Addr, correlation string,
) (postgres.Accepted, error) {
	visit, leave, err := s.enter(r, src, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer leave()
	encoding, err := checkHeaders(r, src.Source)
	if err != nil {
		return postgres.Accepted{}, err
	}
	b, verified, err := s.verify(r, content.attend(visit), src.Source, caller)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer func() { b.Close() }()
	if err := src.gate.Spend(s.now()); err != nil {
		return postgres.Accepted{}, err
	}
	if encoding != "" {
		decoded, err := s.decode(visit, b, encoding, src.MaxBody)
		if err != nil {
			return postgres.Accepted{}, err
		}
		b.Close()
		b = decoded
	}
	row, err := s.look(b, src.Source)
	if err != nil {
		return postgres.Accepted{}, err
	}
	row.CorrelationID, row.Verified = correlation, verified
	if row.Body, row.BodyKey, err = s.place(r.Context(), b, row.WorkflowID); err != nil {
		return postgres.Accepted{}, err
	}
	// The answer does not depend on whether the sender still listens: what is
	// durable is a duplicate when it asks again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), accept.Timeout)
	defer cancel()
	return s.accepter.Accept(ctx, row)
}

// enter decides about a request by nothing but its source and its caller's address.
// leave must be called where there is no error.
func (s *Server) enter(r *http.Request, src *endpoint, caller netip.Addr) (visit *guard.Visit, leave func(), err error) {
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
	out, err := src.gate.Enter(caller)
	if err != nil {
		visit.Leave()
		return nil, nil, err
	}
	return visit, func() {
		out()
		visit.Leave()
	}, nil
}

// look makes the row of an authentic body. A body that cannot be read is an error,
// or, where the source's provider would not send it again, an event of its own
// that a person must look at.
func (s *Server) look(b *body, src *source.Source) (postgres.Acceptance, error) {
	row := postgres.Acceptance{
		Source: src.Name, Tenant: src.Tenant, BodySHA256: b.sum, Size: b.size, ReceivedAt: s.now(),
	}
	head, err := payload.Peek(b.open(), payload.Options{Strict: src.Strict})
	f := fault.From(err)
	switch {
	case err == nil:
		s.metrics.unknownFields.WithLabelValues(src.Name).Add(float64(head.Unknown))
		if head.Breaches > 0 { // the store step reads it again and holds it
			s.metrics.kept.WithLabelValues(src.Name, string(fault.FieldInvalid)).Inc()
		}
		row.EventID, row.Hold = head.ID, src.Hold(head.Recipients)
	case src.Keeps(f.Code):
		s.metrics.kept.WithLabelValues(src.Name, string(f.Code)).Inc()
		row.EventID = "sha256:" + hex.EncodeToString(b.sum[:])
		row.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "the event cannot be read: " + payload.Nameless(err)}
	default:
		return row, err
	}
	row.WorkflowID = contract.WorkflowID(src.Name, row.EventID)
	return row, nil
}

// decode gives an authentic body without its content encoding. What it expands to
// is bounded like any body.
func (s *Server) decode(visit *guard.Visit, b *body, encoding string, limit int64) (*body, error) {
	plain, err := decoded(b.open(), encoding)
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }()
	return s.intake.read(visit, plain, -1, limit, io.Discard)
}

// place says where a body goes: into the row, or under a key of the object store.
// While that is away, a body that a row may hold goes into the row.
func (s *Server) place(ctx context.Context, b *body, workflowID string) (inline []byte, key string, err error) {
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

// checkHeaders refuses what the headers already rule out, before a byte of the
// body is read. It gives the content encoding, empty for none.
func checkHeaders(r *http.Request, src *source.Source) (encoding string, err error) {
	if !isJSON(r.Header.Values("Content-Type")) {
		return "", fault.New(fault.ContentTypeInvalid, "the content type must be application/json in UTF-8")
	}
	if encoding, err = contentCoding(r.Header, src.Encodings); err != nil {
		return "", err
	}
	if r.ContentLength > src.MaxBody {
		return "", tooLarge(src.MaxBody)
	}
	return encoding, nil
}

// isJSON accepts application/json, once, with at most charset=utf-8.
func isJSON(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(lines[0])
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// verify reads the body from content and checks its signature on the way. Only a body that is
// complete and authentic is returned, with who vouches for it; the caller closes it.
func (s *Server) verify(r *http.Request, content *paced, src *source.Source, caller netip.Addr,
) (*body, contract.Verified, error) {
	var nobody contract.Verified
	scheme, err := signature.Select(src.Schemes, r.Header)
	if err != nil {
		s.verified(src, "none", 0, caller, err)
		return nil, nobody, err
	}
	verifier, err := scheme.Begin(r.Header, s.now())
	if err != nil {
		s.verified(src, scheme.Name(), 0, caller, err)
		return nil, nobody, err
	}
	b, err := s.intake.read(content.visit, content, r.ContentLength, src.MaxBody, verifier)
	if err != nil {
		if fault.Is(err, fault.BodyIncomplete) { // to begin and not to end is cheap for a stranger
			s.throttle.Failed(caller, s.now())
		}
		return nil, nobody, err
	}
	key, err := verifier.Verify()
	s.verified(src, scheme.Name(), key, caller, err)
	if err != nil {
		b.Close()
		return nil, nobody, err
	}
	content.visit.MarkAuthentic()
	return b, contract.Verified{Scheme: scheme.Name(), Key: key, Ref: src.KeyRef(key)}, nil
}

// verified counts one check of a signature, and remembers the address that failed it.
func (s *Server) verified(src *source.Source, scheme string, key int, caller netip.Addr, err error) {
	now := s.now()
	if err != nil {
		code := fault.From(err).Code
		s.throttle.Failed(caller, now)
		s.audit.Add(authlog.Failure{Source: src.Name, Scheme: scheme, Code: code, Address: caller, At: now})
		s.metrics.verifications.WithLabelValues(src.Name, scheme, "none", string(code)).Inc()
		return
	}
	s.keys.Used(src.Name, key, now)
	s.metrics.verifications.WithLabelValues(src.Name, scheme, strconv.Itoa(key), "ok").Inc()
}

// correlationID gives the sender's id when it is one, else a new one.
func correlationID(h http.Header) string {
	if lines := h.Values(correlationHeader); len(lines) == 1 && isCorrelationID(lines[0]) {
		return lines[0]
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func isCorrelationID(text string) bool {
	if len(text) == 0 || len(text) > maxCorrelationID {
		return false
	}
	for i := range len(text) {
		if text[i] < '!' || text[i] > '~' {
			return false
		}
	}
	return true
}
