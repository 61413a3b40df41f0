package downstream

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"mailroom/shared/fault"
)

// attempt makes one HTTP call, which ends at the latest by the destination's timeout.
func (d *destination) attempt(parent context.Context, c call, body []byte) outcome {
	ctx, cancel := context.WithTimeout(parent, d.timeout)
	defer cancel()
	at := &stage{}
	ctx = at.trace(ctx)

	req, err := d.request(ctx, c, body)
	if err != nil {
		return outcome{
			result:  resultNoBody,
			err:     fault.Wrap(fault.Internal, "the request to the destination could not be made", err),
			breaker: errExcluded,
		}
	}

	// The transport, not an http.Client: it follows no redirect and keeps no cookie.
	end := d.tempo.begin()
	resp, err := d.transport.RoundTrip(req) //nolint:bodyclose // discard closes it
	end(err == nil)
	if err != nil {
		return d.broken(parent, err, at.get())
	}

	discard(resp.Body, cancel)
	return d.judge(resp)
}

// request builds the POST. The transport sends a body again if a reused connection turns
// out to be closed; that is possible only if the destination honours the key.
func (d *destination) request(ctx context.Context, c call, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if !d.idempotent {
		req.GetBody = nil
	}
	setHeaders(req.Header, c)
	return req, d.signer.now().sign(req.Header, c.key, body, time.Now())
}

// discard reads a bounded part of an answer's body for a short time, so that the
// connection can be reused, and closes it. Errors do not matter: the status is known.
func discard(body io.ReadCloser, cancel context.CancelFunc) {
	stop := time.AfterFunc(drainFor, cancel)
	defer stop.Stop()
	_, _ = io.CopyN(io.Discard, body, maxAnswerBody)
	_ = body.Close()
}

// judge returns the outcome of an answer by its status.
func (d *destination) judge(resp *http.Response) outcome {
	status := resp.StatusCode
	switch {
	case status >= 200 && status <= 299:
		return outcome{status: status, result: resultDelivered}
	case status >= 300 && status <= 399:
		return rejected(status, ": redirects are not followed")
	case status == http.StatusGone:
		return d.goneFor(status, d.gone.begin())
	case status == http.StatusRequestTimeout, status == http.StatusConflict,
		status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return retryable(resp, nil)
	case status >= 400 && status <= 499:
		return rejected(status, "")
	case !d.idempotent && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout):
		return ambiguous(status, sentence(status, ""), nil, errFailed)
	}
	return retryable(resp, errFailed)
}

// retryable returns the outcome of an answer after which the attempt may be repeated.
func retryable(resp *http.Response, breaker error) outcome {
	f := fault.New(fault.DownstreamUnavailable, sentence(resp.StatusCode, triedAgain)).
		After(retryAfter(resp.Header.Get("Retry-After"), time.Now()))
	return outcome{status: resp.StatusCode, result: resultRetry, err: f, breaker: breaker}
}

func rejected(status int, why string) outcome {
	return outcome{
		status: status,
		result: resultRejected,
		err:    fault.New(fault.DownstreamRejected, sentence(status, why)),
	}
}
