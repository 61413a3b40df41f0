package inspection

import (
	"context"
	"fmt"
	"io"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// Config bounds what may pass without a person.
type Config struct {
	// AllowedTypes are media types, compared with what was found and never with
	// what was declared; "image/*" stands for a whole family, an empty list for
	// every type.
	AllowedTypes []string
	// MaxSize is the largest attachment in bytes; zero for no limit.
	MaxSize int64
	Limits  Limits
}

// Examiner looks at attachments without a scanner. It is safe for concurrent use.
type Examiner struct {
	cfg     Config
	allowed allowList
}

// New checks cfg.
func New(cfg Config) (*Examiner, error) {
	allowed, err := newAllowList(cfg.AllowedTypes)
	if err != nil {
		return nil, err
	}
	if cfg.MaxSize < 0 {
		return nil, fmt.Errorf("inspection: max size %d is negative", cfg.MaxSize)
	}
	return &Examiner{cfg: cfg, allowed: allowed}, nil
}

// Examine fills a.DetectedType from a.Content and says what to hold the mail
// for, each Detail being the end of a sentence that begins with the attachment.
// An archive beyond the limits comes back with the final verdict unscannable;
// one that is encrypted, damaged or packed in an unknown way with a hold alone,
// because a scanner may yet find something in the rest of it. The only error is
// the context's.
func (e *Examiner) Examine(ctx context.Context, a mail.Attachment) (mail.Attachment, []contract.Hold, error) {
	var holds []contract.Hold
	hold := func(reason contract.Reason, format string, args ...any) {
		holds = append(holds, contract.Hold{Reason: reason, Detail: fmt.Sprintf(format, args...)})
	}
	a.DetectedType = Detect(a.Content)
	a.Signature = ""

	if e.cfg.MaxSize > 0 && a.Size > e.cfg.MaxSize {
		hold(contract.TooLarge, "has %d bytes, more than the %d allowed", a.Size, e.cfg.MaxSize)
	}
	switch {
	case a.DeclaredSize >= 0 && a.DeclaredSize != a.Size:
		hold(contract.AttachmentMismatch, "was declared with %d bytes and has %d", a.DeclaredSize, a.Size)
	case a.DeclaredSHA256 != "" && a.DeclaredSHA256 != a.SHA256:
		hold(contract.AttachmentMismatch, "does not have the checksum it was declared with")
	case mismatch(a.ContentType, a.DetectedType):
		hold(contract.AttachmentMismatch, "was declared as %s and is %s", known(a.ContentType), a.DetectedType)
	}
	if !e.allowed.permits(a.ContentType, a.DetectedType) {
		hold(contract.TypeDenied, "is %s, which is not allowed", a.DetectedType)
	}

	met, err := e.cfg.Limits.walk(ctx, a.Content, func(io.Reader) error { return nil })
	if err != nil {
		return a, nil, err
	}
	if problem := met.problem(false); problem != "" {
		hold(contract.Unscannable, "%s", problem)
		a.Signature = problem
		if met.limit != "" {
			a.Verdict = mail.Unscannable
		}
	}
	return a, holds, nil
}
