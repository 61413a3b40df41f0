package codec

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"mailroom/shared/temporal"
)

// maxExplained bounds a request of a caller who may not read. The Web UI asks for one event
// or one list at a time, far below it.
const maxExplained = 1 << 20

// The content type of a payload that the Web UI shows as text.
const plainJSON = "json/plain"

// payloads is a request or an answer of the codec server, of which no payload is decoded.
type payloads struct {
	Payloads []json.RawMessage `json:"payloads"`
}

// sentence is a payload of the codec server's own.
type sentence struct {
	Metadata map[string][]byte `json:"metadata"`
	Data     []byte            `json:"data"`
}

// explain wraps the answer to a page of the Web UI that wants payloads decoded. If the
// caller may not read them, each encrypted one is answered by a sentence that says where to
// sign in, because the Web UI shows a refusal as "Codec Server could not connect". Nothing
// is decoded, and all else is as next has answered it.
func (s *Server) explain(next http.Handler, w http.ResponseWriter, r *http.Request) {
	answer := &refusable{ResponseWriter: w}
	next.ServeHTTP(answer, r)
	if answer.refused == 0 {
		return
	}

	body, ok := s.sentences(r, answer.refused)
	if !ok {
		answer.send()
		return
	}
	w.Header().Del("WWW-Authenticate")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // fails only when the caller has gone
}

// sentences returns the answer in place of a refusal. It is false for a request that cannot
// be read, and while another one is.
func (s *Server) sentences(r *http.Request, status int) (answer []byte, ok bool) {
	select {
	case s.explaining <- struct{}{}:
		defer func() { <-s.explaining }()
	default:
		return nil, false
	}

	body, err := io.ReadAll(io.LimitReader(r.Body, maxExplained+1))
	if err != nil || len(body) > maxExplained {
		return nil, false
	}
	var in payloads
	if json.Unmarshal(body, &in) != nil {
		return nil, false
	}

	text, err := json.Marshal(reasonFor(r, status))
	if err != nil {
		return nil, false
	}
	instead, err := json.Marshal(sentence{Metadata: map[string][]byte{"encoding": []byte(plainJSON)}, Data: text})
	if err != nil {
		return nil, false
	}

	out := payloads{Payloads: []json.RawMessage{}}
	for _, p := range in.Payloads {
		if encrypted(p) {
			p = instead
		}
		out.Payloads = append(out.Payloads, p)
	}
	answer, err = json.Marshal(out)
	return answer, err == nil
}

// encrypted reports whether a payload is one that this server would decrypt.
func encrypted(p json.RawMessage) bool {
	var in struct {
		Metadata map[string][]byte `json:"metadata"`
	}
	return json.Unmarshal(p, &in) == nil && bytes.Equal(in.Metadata["encoding"], []byte(temporal.Encrypted))
}

// reasonFor says why nothing is decrypted and what to do, for the address that the browser
// has used: a session is valid for that host name alone.
func reasonFor(r *http.Request, status int) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	console := scheme + "://" + r.Host
	if status == http.StatusForbidden {
		return "Encrypted. Your role at " + console + " may not read this: that takes the role viewer for every tenant."
	}
	return "Encrypted. To read this, sign in at " + console + " in this browser, then reload this page."
}

// refusable holds back an answer with which a caller is refused.
type refusable struct {
	http.ResponseWriter
	refused int // the status; 0: the answer is not held back
	body    bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (w *refusable) WriteHeader(status int) {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *refusable) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return w.body.Write(p) //nolint:wrapcheck // a buffer never fails
	}
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // a writer returns the errors of what it writes to
}

// send sends what was held back.
func (w *refusable) send() {
	w.ResponseWriter.WriteHeader(w.refused)
	_, _ = w.ResponseWriter.Write(w.body.Bytes()) // fails only when the caller has gone
}
