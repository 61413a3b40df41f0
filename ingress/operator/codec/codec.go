// Package codec is the codec server: it encrypts and decrypts what Temporal keeps
// for the Temporal Web UI and the temporal command line, which have no keys.
//
// Invariants: unknown callers get nothing, but for a sentence that tells the Web UI's users
// where to sign in; a payload does not name its tenant, so only
// roles for every tenant count, viewer to read and operator to write; pages of other
// origins than the configured ones get nothing, also from a browser with a session; an
// answer is bounded whatever a request decompresses to.
package codec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
)

// Root is where the codec server is: what --codec-endpoint wants.
const Root = "/codec"

const (
	// maxRequest bounds a request and maxAnswer what is decrypted for it. Temporal
	// takes 4 MiB in a message; JSON and base64 make it half as long again.
	maxRequest = 8 << 20
	maxAnswer  = 16 << 20
	// turns is how many requests are handled at a time, and turnWait is how long a request
	// waits for its turn.
	turns    = 2
	turnWait = 10 * time.Second
	// preflightSeconds is how long a browser may remember what is allowed.
	preflightSeconds = "600"
	allowedHeaders   = "Authorization, Authorization-Extras, Content-Type, X-Namespace"
)

// Config says which pages may ask.
type Config struct {
	// Origins are those of the Web UI, such as http://127.0.0.1:8233.
	Origins []string
}

// Server is the codec server.
type Server struct {
	codec   http.Handler
	origins map[string]bool
	turn    chan struct{}
	// explaining is full while a refusal is being explained: strangers get one at a time.
	explaining chan struct{}
}

// New returns a codec server.
func New(cfg Config, c converter.PayloadCodec) (*Server, error) {
	if c == nil {
		return nil, errors.New("codec server: the codec is missing")
	}
	s := &Server{
		codec: converter.NewPayloadCodecHTTPHandler(bounded{c}), origins: map[string]bool{}, turn: make(chan struct{}, turns),
		explaining: make(chan struct{}, 1),
	}
	for _, o := range cfg.Origins {
		if err := CheckOrigin(o); err != nil {
			return nil, fmt.Errorf("codec server: %w", err)
		}
		s.origins[o] = true
	}
	return s, nil
}

// CheckOrigin returns an error if text is no origin.
func CheckOrigin(text string) error {
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != text {
		return fmt.Errorf("%q is no origin, such as http://127.0.0.1:8233", text)
	}
	return nil
}

// Routes are the codec server's rows in the table of the operator listener.
func (s *Server) Routes() []access.Route {
	return []access.Route{
		{Method: http.MethodPost, Path: Root + "/decode", Least: access.Viewer, Scope: access.EveryTenant, Auth: access.CORS, Handle: s.handle},
		{Method: http.MethodPost, Path: Root + "/encode", Least: access.Operator, Scope: access.EveryTenant, Auth: access.CORS, Handle: s.handle},
	}
}

func (s *Server) handle(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), turnWait)
	defer cancel()

	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fault.New(fault.Overloaded, "too many payloads are being read at the moment").After(turnWait)
	}

	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxRequest))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return fault.Newf(fault.BodyTooLarge, "a request is at most %d bytes long", maxRequest)
	case err != nil:
		return fault.Wrap(fault.RequestInvalid, "the request ended early", err)
	}

	r := c.Request.Clone(c.Request.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.codec.ServeHTTP(c.Writer, r)
	return nil
}

// CORS wraps everything that is answered below Root (Fetch Standard, §3.3). It answers
// preflights, which have no credentials, and allows the configured origins to read the
// answers, refusals too: else the Web UI would ask again and again. Other origins but our
// own are refused here. Requests without an Origin come from no browser and pass.
func (s *Server) CORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, Root+"/") {
			next.ServeHTTP(w, r)
			return
		}

		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		switch {
		case s.origins[origin]:
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
		case len(r.Header.Values("Origin")) > 0 && !same(origin, r.Host):
			http.Error(w, "this origin may not ask the codec server: see operator.ui_origins", http.StatusForbidden)
			return
		}

		if s.origins[origin] && r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", http.MethodPost)
			h.Set("Access-Control-Allow-Headers", allowedHeaders)
			h.Set("Access-Control-Max-Age", preflightSeconds)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if s.origins[origin] && r.Method == http.MethodPost && r.URL.Path == Root+"/decode" {
			s.explain(next, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// same reports whether an origin is that of the host that is asked.
func same(origin, host string) bool {
	_, of, ok := strings.Cut(origin, "://")
	return ok && of == host
}

// bounded decrypts no more for one request than may be answered.
type bounded struct{ converter.PayloadCodec }

// Decode implements converter.PayloadCodec.
func (b bounded) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, 0, len(payloads))
	size := 0
	for _, p := range payloads {
		one, err := b.PayloadCodec.Decode([]*commonpb.Payload{p})
		if err != nil {
			return nil, err //nolint:wrapcheck // it says all there is to say
		}
		for _, p := range one {
			size += proto.Size(p)
		}
		if size > maxAnswer {
			return nil, fmt.Errorf("the payloads of one request may unpack to %d bytes and not more", maxAnswer)
		}
		out = append(out, one...)
	}

	return out, nil
}
