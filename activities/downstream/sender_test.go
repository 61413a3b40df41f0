package downstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/signing"
)

func TestEveryStatusHasItsClass(t *testing.T) {
	t.Parallel()
	for status := 200; status <= 599; status++ {
		var want fault.Code
		result := resultDelivered
		switch {
		case status < 300:
		case status == 408, status == 409, status == 425, status == 429, status >= 500:
			want, result = fault.DownstreamUnavailable, resultRetry
		case status == 410:
			want, result = fault.DownstreamGone, resultGone
		default:
			want, result = fault.DownstreamRejected, resultRejected
		}
		d := destination{idempotent: true, gone: goneStop{lasts: time.Hour}}
		o := d.judge(&http.Response{StatusCode: status, Header: http.Header{}})
		require.Equal(t, status, o.status)
		require.Equal(t, result, o.result, status)
		if want == "" {
			require.NoError(t, o.err)
			continue
		}
		f := fault.From(o.err)
		require.Equal(t, want, f.Code, status)
		require.Equal(t, want != fault.DownstreamRejected, f.Temporary, status)
		require.Equal(t, status >= 500, o.breaker != nil, status)
		require.Contains(t, f.Public, fmt.Sprint(status))

		d.idempotent = false
		unknown := fault.Is(d.judge(&http.Response{StatusCode: status, Header: http.Header{}}).err, fault.AmbiguousEffect)
		require.Equal(t, status == 502 || status == 504, unknown, status)
	}
}

func TestSendSignsAndNames(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"plain text", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"} {
		var header http.Header
		var body []byte
		d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
			header = r.Header
			body, _ = io.ReadAll(r.Body)
		}, func(to *config.Destination, _ *Config) { to.Secret.Key = config.NewSecret(secret) })
		status, called, err := d.try(t.Context())
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.True(t, called)
		require.Equal(t, resultDelivered, d.metrics.last())

		var standard *standardwebhooks.Webhook
		if strings.HasPrefix(secret, "whsec_") {
			standard, err = standardwebhooks.NewWebhook(secret)
		} else {
			standard, err = standardwebhooks.NewWebhookRaw([]byte(secret))
		}
		require.NoError(t, err)
		require.NoError(t, standard.Verify(body, header))
		require.Equal(t, testKey, header.Get("webhook-id"))
		require.Equal(t, testKey, header.Get("Idempotency-Key"))
		require.Equal(t, header.Get("webhook-timestamp"), header.Get(signing.TimestampHeader))
		require.Equal(t, signing.TimestampHMAC(secret, header.Get(signing.TimestampHeader), body), header.Get(signing.SignatureHeader))
		require.NotContains(t, header, "Traceparent", "there is no trace that a receiver could find")
		require.Equal(t, "corr-1", header.Get("X-Correlation-Id"))
		require.Equal(t, "evt%20%C3%BC", header.Get("X-Mailroom-Event-Id"))
		require.Equal(t, "mailroom", header.Get("User-Agent"))
		require.Equal(t, "application/json", header.Get("Content-Type"))
		require.Empty(t, header.Get("Accept-Encoding"))
	}
}

func TestSendWithoutSecretIsUnsigned(t *testing.T) {
	t.Parallel()
	var header http.Header
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header },
		func(to *config.Destination, _ *Config) { to.Secret = config.KeyRef{} })
	_, _, err := d.try(t.Context())
	require.NoError(t, err)
	require.Empty(t, header.Get("webhook-signature"))
	require.Empty(t, header.Get(signing.SignatureHeader))
	require.Equal(t, testKey, header.Get("webhook-id"))
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer canary.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, where := range []string{canary.URL, "http://169.254.169.254/latest/meta-data/"} {
			d := setup(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, where, status) })
			got, _, err := d.try(t.Context())
			require.Equal(t, status, got)
			require.True(t, fault.Is(err, fault.DownstreamRejected))
			require.Contains(t, fault.From(err).Public, "redirects are not followed")
		}
	}
	require.Zero(t, seen.Load())
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                       0,
		"0":                      0,
		"7":                      7 * time.Second,
		" 7 ":                    7 * time.Second,
		"3600":                   time.Hour,
		"3601":                   time.Hour,
		"1000000000":             time.Hour,
		"9223372036854775807":    time.Hour,
		"99999999999999999999":   time.Hour,
		strings.Repeat("9", 400): time.Hour,
		"-5":                     0,
		"1.5":                    0,
		"1e9":                    0,
		"soon":                   0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.AddDate(50, 0, 0).Format(http.TimeFormat):     time.Hour,
		now.Add(time.Minute).Format(time.RFC850):          time.Minute,
	} {
		require.Equal(t, want, retryAfter(text, now), text)
	}
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1000000000")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	require.Equal(t, time.Hour, fault.From(err).RetryAfter)
}

func TestHostileAnswersEndInTime(t *testing.T) {
	t.Parallel()
	forever := func(r *http.Request, step func() error) {
		for r.Context().Err() == nil && step() == nil {
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
	}{
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, 0},
		"a body without end": {func(w http.ResponseWriter, r *http.Request) {
			chunk := make([]byte, 1<<20)
			forever(r, func() error { _, err := w.Write(chunk); return err })
		}, 200},
		"a byte at a time": {func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			forever(r, func() error {
				<-tick.C
				_, err := w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				return err
			})
		}, 200},
		"a gzip bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
			chunk := make([]byte, 1<<20)
			forever(r, func() error { _, err := w.Write(chunk); return err })
		}, 200},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 10<<20))
		}, 0},
		"headers a byte at a time": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			_, err = conn.Write([]byte("HTTP/1.1 200 OK\r\nX-Slow: "))
			for err == nil {
				<-tick.C
				_, err = conn.Write([]byte("x"))
			}
		}, 0},
		"informational answers without end": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			for err == nil {
				_, err = conn.Write([]byte("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t, c.handler, timeout(700*time.Millisecond))
			began := time.Now()
			status, _, err := d.try(t.Context())
			require.Less(t, time.Since(began), 20*time.Second, "not for ever")
			require.Equal(t, c.status, status)
			if c.status == 200 {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.DownstreamUnavailable), "%v", err)
			require.True(t, fault.From(err).Temporary)
		})
	}
}

// An answer with a known status does not wait for its body, which is bounded by size and
// by time.
func TestAnswersAreReadBriefly(t *testing.T) {
	t.Parallel()
	var wrote atomic.Int64
	d := setup(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if wrote.Add(int64(n)); err != nil {
				return
			}
		}
	}, timeout(time.Minute))
	_, _, err := d.try(t.Context())
	require.NoError(t, err)
	d.server.Close()
	require.Less(t, wrote.Load(), int64(32<<20), "the rest is what lay in buffers")

	d = setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, timeout(time.Minute))
	began := time.Now()
	_, _, err = d.try(t.Context())
	require.NoError(t, err)
	require.Less(t, time.Since(began), 30*time.Second, "not the minute")

	d = setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
	})
	_, _, err = d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
}

// The destination has already acted: the repeat has the same key.
func TestResetAfterTheEffectRepeatsTheKey(t *testing.T) {
	t.Parallel()
	var keys []string
	d := setup(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			reset(w)
		}
	})
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	status, _, err := d.try(t.Context())
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, []string{testKey, testKey}, keys)
}

func TestUnknownEffectWithoutIdempotency(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	for name, handler := range map[string]http.HandlerFunc{
		"reset": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			reset(w)
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"bad gateway":     answer(502),
		"gateway timeout": answer(504),
	} {
		calls.Store(0)
		d := setup(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			handler(w, r)
		}, withoutKey, timeout(300*time.Millisecond))
		_, _, err := d.try(t.Context())
		require.True(t, fault.Is(err, fault.AmbiguousEffect), "%s: %v", name, err)
		require.False(t, fault.From(err).Temporary)
		require.Equal(t, int32(1), calls.Load(), name)
		require.Equal(t, resultAmbiguous, d.metrics.last())
	}
	// An answer is unambiguous, and so is a connection that was never made.
	d := setup(t, answer(503), withoutKey)
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	d = setup(t, answer(200), withoutKey)
	d.server.Close()
	_, _, err = d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
}

// The cause of an ambiguous outcome must not be taken for a cancellation by the caller.
func TestAmbiguousHidesItsCause(t *testing.T) {
	t.Parallel()
	err := tryCancelled(t, withoutKey)
	require.True(t, fault.Is(err, fault.AmbiguousEffect))
	require.NotErrorIs(t, err, context.Canceled)
}

func TestNoCallWithoutTimeForIt(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), withoutKey, timeout(time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, called, err := d.try(ctx)
	require.True(t, fault.Is(err, fault.Overloaded))
	require.False(t, called)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), func(to *config.Destination, _ *Config) { to.AllowPrivate = false })
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	require.Contains(t, fault.From(err).Public, "may not be called")
}

func TestBodyErrorPassesAndCountsForNothing(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), func(to *config.Destination, _ *Config) { to.Breaker.Failures = 1 })
	mine := errors.New("mine")
	for range 3 {
		_, err := d.Send(t.Context(), contract.Email{Tenant: "default"}, ledger.Delivery{Destination: "to"},
			func(context.Context) ([]byte, error) { return nil, mine })
		require.ErrorIs(t, err, mine)
		require.Equal(t, resultNoBody, d.metrics.last())
	}
	_, _, err := d.try(t.Context())
	require.NoError(t, err)
}

func TestUnknownDestination(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200))
	_, err := d.Send(t.Context(), contract.Email{}, ledger.Delivery{Destination: "elsewhere"}, nil)
	require.True(t, fault.Is(err, fault.ConfigInvalid))
	require.False(t, d.HonoursKey("elsewhere"))
	require.True(t, d.HonoursKey("to"))
}

func TestNewNamesTheMistake(t *testing.T) {
	t.Parallel()
	for name, to := range map[string]config.Destination{
		"http":        {URL: "ftp://files.example/"},
		"host":        {URL: "https:///path"},
		"be read":     {URL: "http://a b/"},
		"credentials": {URL: "https://user:word@host.example/"},
		"base64":      {URL: "https://host.example/", Secret: config.KeyRef{Key: config.NewSecret("whsec_§hidden§")}},
	} {
		to.Name = "billing"
		_, err := New(Config{Destinations: []config.Destination{to}}, testDeps())
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "billing")
		require.NotContains(t, err.Error(), "hidden")
		require.NotContains(t, err.Error(), "word")
	}
	twice := config.Destination{Name: "billing", URL: "https://host.example/"}
	_, err := New(Config{Destinations: []config.Destination{twice, twice}}, testDeps())
	require.ErrorContains(t, err, "not unique")
}

func TestHeaderText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"corr-1": "corr-1", "a\r\nX-Evil: 1": "", "ü": "", "\x7f": "", strings.Repeat("a", 201): "", " ": "",
	} {
		require.Equal(t, want, headerText(text))
	}
}
