package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/signing"
)

// huge posts fifty emails of 25 MiB each at once to a fresh ingress. One that is answered
// 503 is posted again.
func (p *ingressPart) huge(ctx context.Context, d *ingressFigures) error {
	p.say("%d emails of %d MiB at once", hugeAtOnce, hugeMail>>20)
	if err := p.mail.Restart(ctx, stack.Ingress); err != nil {
		return err
	}

	var refused atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, hugeAtOnce)
	for i := range hugeAtOnce {
		wg.Go(func() {
			for {
				status, err := p.sender.huge(ctx, i)
				if status == http.StatusServiceUnavailable && err == nil {
					refused.Add(1)
					continue
				}
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("the ingress answers %d", status)
				}
				errs[i] = err
				return
			}
		})
	}
	wg.Wait()
	if err := firstOf(errs...); err != nil {
		return err
	}

	peak, err := peakMiB(p.mail.PID(stack.Ingress))
	if err != nil {
		return err
	}
	d.HugePeak, d.HugeRefused = peak, int(refused.Load())
	p.say("  peak %.0f MiB, %d answered 503", peak, refused.Load())
	return p.drained(ctx, hugeAtOnce)
}

// huge posts one email of hugeMail bytes, made while it is sent.
func (s *sender) huge(ctx context.Context, i int) (status int, err error) {
	target, err := url.Parse(s.url)
	if err != nil {
		return 0, err
	}
	head := fmt.Sprintf(`{"event_id":"bench_%s_huge_%d","recipient":["support@yourapp.example"],"subject":"large","attachments":[{"filename":"a.bin","content_type":"application/octet-stream","content_base64":"`, s.run, i)
	const tail = `"}]}`
	filler := (hugeMail - len(head) - len(tail)) / 4 * 4
	piece := strings.Repeat("QUJD", hugePieces/4)

	write := func(w io.Writer) error {
		if _, err := io.WriteString(w, head); err != nil {
			return err
		}
		for left := filler; left > 0; left -= len(piece) {
			if _, err := io.WriteString(w, piece[:min(left, len(piece))]); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, tail)
		return err
	}

	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.secret))
	if err := firstOf(second(io.WriteString(mac, stamp+".")), write(mac)); err != nil {
		return 0, err
	}

	body, pipe := io.Pipe()
	go func() { _ = pipe.CloseWithError(write(pipe)) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
	if err != nil {
		return 0, err
	}
	req.ContentLength = int64(len(head) + filler + len(tail))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(signing.TimestampHeader, stamp)
	req.Header.Set(signing.SignatureHeader, hex.EncodeToString(mac.Sum(nil)))

	res, err := s.http.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return http.StatusServiceUnavailable, nil // answered before all of the body was read
		}
		return 0, fmt.Errorf("post a large email: %w", err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Body.Close()
}

func second(_ int, err error) error { return err }
