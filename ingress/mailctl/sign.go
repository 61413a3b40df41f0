package mailctl

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"mailroom/ingress/signature"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

type signCommand struct {
	File      string `arg:"" help:"File with the exact bytes of the body; - is stdin."`
	Timestamp string `placeholder:"UNIX" help:"Timestamp to sign, in seconds or milliseconds; now by default."`
}

// Run prints the two headers, one per line, as curl takes them with -H @-.
func (c *signCommand) Run(s *session) error {
	secret, err := s.secret()
	if err != nil {
		return err
	}

	body, err := s.read(c.File)
	if err != nil {
		return err
	}

	timestamp := fallback(c.Timestamp, strconv.FormatInt(s.now().Unix(), 10))
	if visible(timestamp) != timestamp {
		return usagef("--timestamp: a header holds printable text only")
	}

	sum := signing.TimestampHMAC(secret.text, timestamp, body)
	if s.json() {
		return s.printJSON(map[string]string{"timestamp": timestamp, "signature": sum})
	}

	return s.printf("%s: %s\n%s: %s\n", signing.TimestampHeader, timestamp, signing.SignatureHeader, sum)
}

type verifyCommand struct {
	File      string        `arg:"" help:"File with the exact bytes of the body; - is stdin."`
	Timestamp string        `required:"" help:"Content of the header X-Webhook-Timestamp."`
	Signature string        `required:"" help:"Content of the header X-Webhook-Signature."`
	Tolerance time.Duration `help:"How far from now the timestamp may be, such as 5m; any age by default."`
}

// Run checks as the ingress does.
func (c *verifyCommand) Run(s *session) error {
	secret, err := s.secret()
	if err != nil {
		return err
	}

	body, err := s.read(c.File)
	if err != nil {
		return err
	}
	if c.Tolerance < 0 {
		return usagef("--tolerance must not be negative")
	}
	if c.Tolerance == 0 {
		c.Tolerance = math.MaxInt64
	}

	if err := verify(secret.text, c.Timestamp, c.Signature, body, c.Tolerance, s.now()); err != nil {
		f := fault.From(err)
		if s.json() {
			verdict := map[string]any{"valid": false, "error": f.Code, "message": f.Public}
			if err := s.printJSON(verdict); err != nil {
				return err
			}
		}
		return errors.New(f.Public)
	}

	if s.json() {
		return s.printJSON(map[string]any{"valid": true})
	}

	return s.printf("the signature is valid\n")
}

func verify(secret, timestamp, sum string, body []byte, tolerance time.Duration, now time.Time) error {
	scheme, err := signature.NewTimestampHMAC([]signature.Key{{Number: 1, Secret: config.NewSecret(secret)}}, tolerance)
	if err != nil {
		return err
	}
	verifier, err := scheme.Begin(http.Header{
		signing.TimestampHeader: {timestamp}, signing.SignatureHeader: {sum},
	}, now)
	if err != nil {
		return err
	}
	_, _ = verifier.Write(body) // never fails
	_, err = verifier.Verify()
	return err
}
