package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/signing"
)

// answer is what the ingress says.
type answer struct {
	Status     int    `json:"-"`
	RetryAfter string `json:"-"`
	OK         bool   `json:"ok"`
	ID         string `json:"id"`
	Duplicate  bool   `json:"duplicate"`
	Error      string `json:"error"`
}

// post signs and posts a body now.
func (w *world) post(body []byte) answer {
	w.t.Helper()
	a, err := w.tryPost(body)
	require.NoError(w.t, err)
	return a
}

func (w *world) tryPost(body []byte) (answer, error) {
	return w.call(context.Background(), body, nil)
}

// call posts a body, signed now, with headers that edit may change.
func (w *world) call(ctx context.Context, body []byte, edit func(http.Header)) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.IngressURL()+"/webhooks/email", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	signed(webhookSecret, time.Now(), body)(req.Header)
	if edit != nil {
		edit(req.Header)
	}
	res, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}
	return a, json.NewDecoder(res.Body).Decode(&a)
}

// signed returns the headers of a signature over body.
func signed(secret string, at time.Time, body []byte) func(http.Header) {
	return func(h http.Header) {
		stamp := strconv.FormatInt(at.Unix(), 10)
		h.Set(signing.TimestampHeader, stamp)
		h.Set(signing.SignatureHeader, signing.TimestampHMAC(secret, stamp, body))
	}
}

// accept posts a body that must be accepted and returns its event id.
func (w *world) accept(body []byte) string {
	w.t.Helper()
	a := w.post(body)
	require.Equal(w.t, http.StatusOK, a.Status, a.Error)
	require.True(w.t, a.OK)
	return a.ID
}
