package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxBody is the longest delivery that is accepted, in bytes.
const maxBody = 32 << 20

// Config is the configuration of a Sink.
type Config struct {
	Secret string
	// Bodies puts the bodies into File.
	Bodies bool
	// Keys is how many idempotency keys are remembered, the oldest forgotten first.
	Keys int
	// File gets a JSON line for each request, in one Write; nil: none.
	File io.ReadWriter
}

// Sink is the sample destination.
type Sink struct {
	mux      *http.ServeMux
	verifier verifier
	ledger   *ledger
	scripts  scripts
}

// New returns a Sink.
func New(c Config) *Sink {
	s := &Sink{mux: http.NewServeMux(), verifier: newVerifier(c.Secret), ledger: newLedger(c)}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, ok{OK: true}) })
	s.mux.HandleFunc("GET /{$}", s.page)
	s.mux.HandleFunc("GET /effects", s.effects)
	s.mux.HandleFunc("DELETE /effects", func(w http.ResponseWriter, _ *http.Request) {
		s.ledger.forget()
		reply(w, http.StatusOK, ok{OK: true})
	})
	s.mux.HandleFunc("POST /control", s.addScript)
	s.mux.HandleFunc("GET /control", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.scripts.all()) })
	s.mux.HandleFunc("DELETE /control", func(w http.ResponseWriter, r *http.Request) {
		s.scripts.clear(r.URL.Query().Get("path"))
		reply(w, http.StatusOK, ok{OK: true})
	})
	s.mux.HandleFunc("POST /", s.receive)
	return s
}

// ServeHTTP answers one request.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// ok is the body of an answer.
type ok struct {
	OK     bool   `json:"ok"`
	Repeat bool   `json:"repeat,omitempty"`
	Error  string `json:"error,omitempty"`
}

// receive handles one delivery: script, signature, effect, answer.
func (s *Sink) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		reply(w, http.StatusBadRequest, ok{Error: "the body cannot be read"})
		return
	}

	got := arrival(r, body)
	script := s.scripts.next(r.URL.Path)
	if !pause(r, script) {
		got.Status = 0
		s.ledger.record(got, body)
		return
	}

	switch {
	case script.Drop == dropBefore:
		s.ledger.record(got, body)
		drop(w)
	case script.Status != 0 && (script.Status < 200 || script.Status > 299):
		got.Status = script.Status
		s.ledger.record(got, body)
		if script.RetryAfter != "" {
			w.Header().Set("Retry-After", script.RetryAfter)
		}
		if script.Location != "" {
			w.Header().Set("Location", script.Location)
		}
		reply(w, script.Status, ok{Error: "scripted"})
	default:
		s.act(w, r, script, got, body)
	}
}

// act performs the effect of a delivery, unless its signature is wrong or its key is known.
func (s *Sink) act(w http.ResponseWriter, r *http.Request, script Script, got Arrival, body []byte) {
	got.Signature = s.verifier.verify(r.Header, body)
	if got.Signature == signatureBad {
		got.Status = http.StatusUnauthorized
		s.ledger.record(got, body)
		reply(w, got.Status, ok{Error: "the signature is missing or wrong"})
		return
	}

	got.Status = http.StatusOK
	if script.Status != 0 {
		got.Status = script.Status
	}

	got.Effect = true
	repeat := s.ledger.record(got, body)
	if script.Drop == dropAfter {
		drop(w)
		return
	}
	reply(w, got.Status, ok{OK: true, Repeat: repeat})
}

// arrival returns the record of a request.
func arrival(r *http.Request, body []byte) Arrival {
	var known struct {
		EventID string `json:"event_id"`
	}
	_ = json.Unmarshal(body, &known) // what is no JSON has no event id
	sum := sha256.Sum256(body)
	return Arrival{
		Time:          time.Now().UTC(),
		Path:          r.URL.Path,
		Key:           r.Header.Get("Idempotency-Key"),
		EventID:       known.EventID,
		CorrelationID: r.Header.Get("X-Correlation-Id"),
		BodySHA256:    hex.EncodeToString(sum[:]),
		Size:          len(body),
	}
}

// effects answers with the counts and the newest effects.
func (s *Sink) effects(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := 100
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			reply(w, http.StatusBadRequest, ok{Error: "limit must be a number"})
			return
		}
		limit = n
	}
	reply(w, http.StatusOK, s.ledger.report(q.Get("path"), q.Get("key"), q.Get("event_id"), limit))
}

// drop resets the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
