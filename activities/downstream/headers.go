package downstream

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/signing"
)

const maxRetryAfter = time.Hour

// signer adds both signatures to a request, or none if there is no secret.
//
// The key of the timestamp-hmac scheme is the text of the secret. Standard Webhooks
// decodes the base64 after whsec_. With any other secret its key is the text too, so the
// receiver configures its library with whsec_ and the base64 of the text.
type signer struct {
	secret   string
	standard *standardwebhooks.Webhook
}

func newSigner(secret string) (signer, error) {
	if secret == "" {
		return signer{}, nil
	}
	var standard *standardwebhooks.Webhook
	var err error
	if strings.HasPrefix(secret, "whsec_") {
		standard, err = standardwebhooks.NewWebhook(secret)
	} else {
		standard, err = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	if err != nil { // the cause may repeat the secret
		return signer{}, errors.New("the secret begins with whsec_, and what follows is not base64")
	}
	return signer{secret: secret, standard: standard}, nil
}

// sign adds the signature headers for body at the time now.
func (s signer) sign(h http.Header, id string, body []byte, now time.Time) error {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, timestamp)
	if s.standard == nil {
		return nil
	}
	signature, err := s.standard.Sign(id, now, body)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	h.Set(signing.TimestampHeader, timestamp)
	h.Set(signing.SignatureHeader, signing.TimestampHMAC(s.secret, timestamp, body))
	return nil
}

// liveSigner signs with the current secret, which may be rotated while the program runs.
type liveSigner struct {
	secret  config.Secret
	name    string // of the destination
	logger  *slog.Logger
	current atomic.Pointer[derived]
}

// derived is a signer and the text of its secret.
type derived struct {
	text   string
	signer signer
}

func newLiveSigner(secret config.Secret, name string, logger *slog.Logger) (*liveSigner, error) {
	text := secret.Reveal()
	made, err := newSigner(text)
	if err != nil {
		return nil, err
	}
	l := &liveSigner{secret: secret, name: name, logger: logger}
	l.current.Store(&derived{text: text, signer: made})
	return l, nil
}

// now returns the signer of the current secret. If that is invalid, the last valid one
// stays in use.
func (l *liveSigner) now() signer {
	last := l.current.Load()
	text := l.secret.Reveal()
	if text == last.text {
		return last.signer
	}
	made, err := newSigner(text)
	if err != nil {
		made = last.signer
	}
	if l.current.CompareAndSwap(last, &derived{text: text, signer: made}) && err != nil {
		l.logger.Warn("destination.secret_unfit", "destination", l.name, "error", err)
	}
	return made
}

// setHeaders adds the headers of every request, without its signatures.
func setHeaders(h http.Header, c call) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "mailroom")
	h.Set("Idempotency-Key", c.key)
	h.Set(contract.LoopHeader, c.mark)
	if id := headerText(c.correlationID); id != "" {
		h.Set("X-Correlation-Id", id)
	}
}

// headerText returns text if it is valid in a header (RFC 9110 §5.5, ASCII only) and at
// most 200 bytes long, otherwise nothing.
func headerText(text string) string {
	if len(text) > 200 {
		return ""
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return strings.TrimSpace(text)
}

// retryAfter parses a Retry-After header (RFC 9110 §10.2.3), seconds or a date, and
// limits it to maxRetryAfter. It returns zero for invalid text and times in the past.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) { // an overflowing number is a long wait
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
