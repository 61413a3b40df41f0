package downstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"

	"mailroom/shared/fault"
	"mailroom/shared/netguard"
)

// progress is how far a call has come.
type progress int32

const (
	resolving progress = iota
	connecting
	securing  // the TLS handshake
	connected // bytes of the request may have been written
)

// stage is the progress of one call. The transport may set it from a goroutine that
// outlives the call.
type stage struct{ at atomic.Int32 }

func (s *stage) get() progress { return progress(s.at.Load()) }

// trace returns a context whose call sets s.
func (s *stage) trace(ctx context.Context) context.Context {
	set := func(p progress) { s.at.Store(int32(p)) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart:      func(string, string) { set(connecting) },
		TLSHandshakeStart: func() { set(securing) },
		GotConn:           func(httptrace.GotConnInfo) { set(connected) },
	})
}

// broken returns the outcome of a call without an answer. A call that the caller
// cancelled does not count for the breaker. A deadline counts as a failure, whether it
// is the destination's or the caller's: otherwise a destination that never answers
// could keep its breaker closed.
func (d *destination) broken(parent context.Context, err error, at progress) outcome {
	breaker, result, cause := errFailed, resultRetry, causeOf(err, at)
	if errors.Is(parent.Err(), context.Canceled) {
		breaker, result, cause = errExcluded, resultCut, fault.CutShort
	}
	if at == connected && !d.idempotent {
		o := ambiguous(0, cause.Sentence(), err, breaker)
		fault.From(o.err).Cause = cause
		return o
	}
	return outcome{
		result:  result,
		err:     fault.Wrap(fault.DownstreamUnavailable, cause.Sentence(), err).Because(cause),
		breaker: breaker,
	}
}

// ambiguous returns the outcome of a call whose effect is unknown. what says how it
// ended. The outcome keeps only the text of err, so that no caller takes it for a
// cancellation or a timeout.
func ambiguous(status int, what string, err, breaker error) outcome {
	if err != nil {
		err = errors.New(err.Error())
	}
	return outcome{
		status: status,
		result: resultAmbiguous,
		err: fault.Wrap(fault.AmbiguousEffect,
			what+"; whether it acted on the email is not known, and it does not honour idempotency keys", err),
		breaker: breaker,
	}
}

// causeOf returns why a call that had come to a stage brought no answer, by the type of
// the error and not by its text.
func causeOf(err error, at progress) fault.Cause {
	if errors.Is(err, netguard.ErrRefused) {
		return fault.AddressForbidden
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return fault.DNSNotFound
		}
		return fault.DNSFailed
	}

	if isTimeout(err) {
		return [...]fault.Cause{fault.DNSFailed, fault.ConnectTimeout, fault.TLSTimeout, fault.AnswerTimeout}[at]
	}
	if cause := certificateCause(err); cause != "" {
		return cause
	}

	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.ConnectionRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fault.AddressUnreachable
	case at == securing:
		return fault.TLSFailed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fault.ConnectionReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.ConnectionClosed
	case at == connected:
		return fault.AnswerInvalid
	}
	return fault.ConnectFailed
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// certificateCause returns what is wrong with the certificate; empty where the error is
// about something else.
func certificateCause(err error) fault.Cause {
	var (
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &name):
		return fault.TLSNameMismatch
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault.TLSExpired
	case errors.As(err, &unknown):
		return fault.TLSUntrusted
	case errors.As(err, &verify):
		return fault.TLSFailed
	}
	return ""
}
