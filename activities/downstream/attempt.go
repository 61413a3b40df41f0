package downstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/netguard"
)

// attempt makes one HTTP call, which ends at the latest by the destination's timeout.
func (d *destination) attempt(parent context.Context, c call, body []byte) outcome {
	ctx, cancel := context.WithTimeout(parent, d.timeout)
	defer cancel()
	var connected atomic.Bool // bytes may have been written
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})

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
		return d.broken(parent, err, connected.Load())
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
		return ambiguous(status, nil, errFailed)
	}
	return retryable(resp, errFailed)
}

// retryable returns the outcome of an answer after which the attempt may be repeated.
func retryable(resp *http.Response, breaker error) outcome {
	f := fault.New(fault.DownstreamUnavailable, sentence(resp.StatusCode, "; it will be tried again")).
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

// ambiguous returns the outcome of a call whose effect is unknown. It keeps only the
// text of the cause, so that no caller takes it for a cancellation or a timeout.
func ambiguous(status int, cause, breaker error) outcome {
	if cause != nil {
		cause = errors.New(cause.Error())
	}
	return outcome{
		status: status,
		result: resultAmbiguous,
		err: fault.Wrap(fault.AmbiguousEffect,
			"the attempt broke off after it had begun, and the destination does not honour idempotency keys", cause),
		breaker: breaker,
	}
}

// broken returns the outcome of a call without an answer. A call that the caller
// cancelled does not count for the breaker. A deadline counts as a failure, whether it
// is the destination's or the caller's: otherwise a destination that never answers
// could keep its breaker closed.
func (d *destination) broken(parent context.Context, err error, connected bool) outcome {
	breaker, result := errFailed, resultRetry
	if errors.Is(parent.Err(), context.Canceled) {
		breaker, result = errExcluded, resultCut
	}
	if connected && !d.idempotent {
		return ambiguous(0, err, breaker)
	}
	return outcome{
		result:  result,
		err:     fault.Wrap(fault.DownstreamUnavailable, reason(parent, err), err),
		breaker: breaker,
	}
}

// reason describes why there was no answer, by the type of the error and not its text.
func reason(parent context.Context, err error) string {
	var (
		dns     *net.DNSError
		timeout net.Error
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.Is(parent.Err(), context.Canceled):
		return "the attempt was cut short"
	case errors.Is(err, netguard.ErrRefused):
		return "the destination's address may not be called; allow_private allows private ones"
	case errors.As(err, &dns):
		return "the destination's name could not be resolved"
	case errors.As(err, &cert), errors.As(err, &unknown):
		return "the destination's certificate is not trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "the destination did not answer in time"
	}
	return "the connection to the destination failed"
}
