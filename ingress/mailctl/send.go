package mailctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/shared/signing"
)

const (
	maxParallel = 256
	sendTimeout = 60 * time.Second
	maxAnswer   = 64 << 10 // bytes of an answer that are read
)

type sendCommand struct {
	Files    []string `arg:"" optional:"" name:"file" help:"Events as JSON, sent byte for byte, or mail (.eml), sent inside an event; - is stdin. Without a file a sample is made from the flags."`
	From     string   `placeholder:"ADDRESS" help:"Sender of the sample, or of the envelope of an .eml; <> is the sender of a bounce."`
	To       []string `placeholder:"ADDRESS" sep:"none" help:"Recipient of the sample, or of the envelope of an .eml: one address or several with commas; may be repeated."`
	Subject  string   `help:"Subject of the sample."`
	Text     string   `help:"Text of the sample."`
	HTML     string   `name:"html" help:"HTML of the sample."`
	Attach   []string `placeholder:"FILE" sep:"none" help:"Attach a file to the sample; may be repeated."`
	EventID  string   `placeholder:"ID" help:"Event id; with --count it is followed by -1, -2 and so on. An event given as JSON is rewritten with it."`
	Count    int      `default:"1" help:"How many to send, each with an event id of its own."`
	Parallel int      `default:"8" help:"How many are sent at the same time (up to 256)."`
}

// sent is the result for one email. Status is 0 without an answer.
type sent struct {
	ID        string `json:"id"`
	Status    int    `json:"status"`
	Duplicate bool   `json:"duplicate"`
	Error     string `json:"error"`
	message   string
}

func (c *sendCommand) check() error {
	switch {
	case c.Count < 1:
		return usagef("--count must be at least 1")
	case c.Parallel < 1 || c.Parallel > maxParallel:
		return usagef("--parallel must be from 1 to %d", maxParallel)
	case len(c.Files) > 0 && (c.Subject != "" || c.Text != "" || c.HTML != "" || len(c.Attach) > 0):
		return usagef("--subject, --text, --html and --attach make a sample and do not go with a file")
	case len(c.Files) > 1 && c.EventID != "":
		return usagef("--event-id does not go with several files")
	}
	return nil
}

// Run sends all emails, also when some are refused.
func (c *sendCommand) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}

	secret, err := s.secret()
	if err != nil {
		return err
	}

	templates, err := c.templates(s)
	if err != nil {
		return err
	}

	var (
		mu     sync.Mutex
		failed int
		doubt  bool // a signature was refused
		group  errgroup.Group
	)

	group.SetLimit(c.Parallel)
	for _, make := range templates {
		for n := 1; n <= c.Count && s.ctx.Err() == nil; n++ {
			group.Go(func() error {
				result := c.sendOne(s, secret.text, make, n)
				mu.Lock()
				defer mu.Unlock()
				if result.Error != "" {
					failed++
				}
				doubt = doubt || result.Status == http.StatusUnauthorized
				return c.printSent(s, result)
			})
		}
	}

	err = group.Wait()
	switch total := len(templates) * c.Count; {
	case err != nil:
		return err
	case s.ctx.Err() != nil:
		return errors.New("interrupted")
	case doubt:
		return fmt.Errorf("%d of %d not accepted; the secret %s", failed, total, secret.origin)
	case failed > 0:
		return fmt.Errorf("%d of %d not accepted", failed, total)
	}

	return nil
}

func (c *sendCommand) sendOne(s *session, secret string, make template, n int) sent {
	id := c.EventID
	if id != "" && c.Count > 1 {
		id += "-" + strconv.Itoa(n)
	}

	id, body, err := make(id, n)
	if err != nil {
		return sent{ID: id, Error: "not_sent", message: err.Error()}
	}

	ctx, cancel := context.WithTimeout(s.ctx, sendTimeout)
	defer cancel()

	result, err := c.post(ctx, s, secret, body)
	if err != nil {
		return sent{ID: id, Error: "no_answer", message: err.Error()}
	}
	if result.ID == "" {
		result.ID = id
	}

	return result
}

// post signs body and sends it.
func (c *sendCommand) post(ctx context.Context, s *session, secret string, body []byte) (sent, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return sent{}, fmt.Errorf("address of the webhook: %w", err)
	}

	timestamp := strconv.FormatInt(s.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(signing.TimestampHeader, timestamp)
	req.Header.Set(signing.SignatureHeader, signing.TimestampHMAC(secret, timestamp, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return sent{}, err //nolint:wrapcheck // names method and address already
	}
	defer func() { _ = resp.Body.Close() }()

	var answer struct {
		ID        string `json:"id"`
		Duplicate bool   `json:"duplicate"`
		Error     string `json:"error"`
		Message   string `json:"message"`
	}

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return sent{}, fmt.Errorf("read the answer: %w", err)
	}

	unreadable := json.Unmarshal(text, &answer) != nil
	result := sent{
		ID: answer.ID, Status: resp.StatusCode, Duplicate: answer.Duplicate, Error: answer.Error, message: answer.Message,
	}
	if success := resp.StatusCode/100 == 2; result.Error == "" && (!success || unreadable && len(text) > 0) {
		result.Error, result.message = "unexpected_answer", "the answer is not Mailroom's: check --url"
	}

	return result, nil
}

func (c *sendCommand) printSent(s *session, r sent) error {
	if s.json() {
		return s.printJSON(r)
	}
	switch {
	case r.Error != "":
		return s.printf("%s\t%d\t%s: %s\n", visible(r.ID), r.Status, visible(r.Error), visible(r.message))
	case r.Duplicate:
		return s.printf("%s\t%d\tduplicate\n", visible(r.ID), r.Status)
	}
	return s.printf("%s\t%d\taccepted\n", visible(r.ID), r.Status)
}
