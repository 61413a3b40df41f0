package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"mailroom/ingress/signature"
	"mailroom/ingress/source"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/event"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/telemetry"
)

const maxCorrelationID = 128

// receive takes one webhook from its first header to its answer.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, src *source.Source) {
	accepted, err := s.take(r, s.pace(w, r.Body), src, w.Header().Get(correlationHeader))
	if err != nil {
		s.reject(w, r, src, err)
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
	var table answers = source.MailParse()
	name := "none"
	if src != nil {
		table, name = src, src.Name
	}
	s.metrics.refused.WithLabelValues(name, string(f.Code)).Inc()
	if table.Status(f.Code) < http.StatusInternalServerError {
		s.refusals.add(name, f.Code, r.RemoteAddr, nil)
	} else {
		s.refusals.add(name, f.Code, r.RemoteAddr, f.Err)
	}
	refuse(w, table, f)
}

// take verifies, looks inside and makes durable, in this order. Before the
// signature is verified it reads headers and bytes only, the bytes from content.
func (s *Server) take(r *http.Request, content io.Reader, src *source.Source, correlation string) (postgres.Accepted, error) {
	if !s.requests.take() {
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many requests are being received at the moment")
	}
	defer s.requests.give()
	if err := checkHeaders(r, src); err != nil {
		return postgres.Accepted{}, err
	}
	b, err := s.verify(r, content, src)
	if err != nil {
		return postgres.Accepted{}, err
	}
	defer b.Close()
	received := s.now()
	// The answer does not depend on whether the sender still listens: what is
	// durable is a duplicate when it asks again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), ackTimeout)
	defer cancel()
	head, err := event.Peek(b.open(), event.Options{Strict: src.Strict})
	if err != nil {
		return postgres.Accepted{}, err
	}
	s.metrics.unknownFields.WithLabelValues(src.Name).Add(float64(head.Unknown))
	row := postgres.Acceptance{
		Source: src.Name, EventID: head.ID, WorkflowID: contract.WorkflowID(src.Name, head.ID),
		Tenant: src.Tenant, CorrelationID: correlation,
		BodySHA256: b.sum, Size: b.size, ReceivedAt: received, Hold: src.Hold(head.Recipients),
	}
	if b.small() {
		row.Body = b.inline
	} else if row.BodyKey, err = s.keep(ctx, b); err != nil {
		return postgres.Accepted{}, err
	}
	return s.acceptor.accept(ctx, row)
}

// checkHeaders refuses what the headers already rule out, before a byte of the
// body is read.
func checkHeaders(r *http.Request, src *source.Source) error {
	if !isJSON(r.Header.Values("Content-Type")) {
		return fault.New(fault.ContentTypeInvalid, "the content type must be application/json in UTF-8")
	}
	for _, encoding := range r.Header.Values("Content-Encoding") {
		if !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return fault.New(fault.EncodingRefused, "an encoded body is not accepted")
		}
	}
	if r.ContentLength > src.MaxBody {
		return tooLarge(src.MaxBody)
	}
	return nil
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
// complete and authentic is returned; the caller closes it.
func (s *Server) verify(r *http.Request, content io.Reader, src *source.Source) (*body, error) {
	scheme, err := signature.Select(src.Schemes, r.Header)
	if err != nil {
		s.verified(src, "none", 0, err)
		return nil, err
	}
	verifier, err := scheme.Begin(r.Header, s.now())
	if err != nil {
		s.verified(src, scheme.Name(), 0, err)
		return nil, err
	}
	b, err := s.intake.read(content, r.ContentLength, src.MaxBody, verifier)
	if err != nil {
		return nil, err
	}
	key, err := verifier.Verify()
	s.verified(src, scheme.Name(), key, err)
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// verified counts one check of a signature.
func (s *Server) verified(src *source.Source, scheme string, key int, err error) {
	number, result := "none", "ok"
	if err != nil {
		result = string(fault.From(err).Code)
	} else {
		number = strconv.Itoa(key)
	}
	s.metrics.verifications.WithLabelValues(src.Name, scheme, number, result).Inc()
}

// keep puts a body that is too large for a row where rows can name it. The key is
// the content's, so that a repeat writes the same object.
func (s *Server) keep(ctx context.Context, b *body) (string, error) {
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	case <-ctx.Done():
		return "", fault.Wrap(fault.Overloaded, "too many large events are being stored at the moment", ctx.Err())
	}
	key := blob.BodyKey(hex.EncodeToString(b.sum[:]))
	if err := s.bodies.Put(ctx, blob.Raw, key, b.open(), b.size, "application/json"); err != nil {
		b.torn = true // an abandoned upload may go on reading for a moment
		return "", fault.Wrap(fault.StorageUnavailable, "the event could not be stored", err)
	}
	return key, nil
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
