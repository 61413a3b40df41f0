package inspection

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// Config bounds what may pass without a decision of a person.
type Config struct {
	// AllowedTypes are media types, compared with the detected type and never with
	// the declared one; "image/*" allows a whole family, an empty list every type.
	AllowedTypes []string
	// MaxSize is the largest attachment in bytes; zero for no limit.
	MaxSize int64
	Limits  Limits
	// Memory is the estimated memory in bytes of all walks of the process at a time;
	// a walk that would exceed it waits. Default 128 MiB.
	Memory int64
}

// Examiner examines attachments without a scanner. It is safe for concurrent use.
type Examiner struct {
	cfg     Config
	allowed allowList
	memory  *semaphore.Weighted
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
	if cfg.Memory <= 0 {
		cfg.Memory = 128 << 20
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &Examiner{cfg: cfg, allowed: allowed, memory: semaphore.NewWeighted(cfg.Memory)}, nil
}

// Begin starts the examination of one mail. The returned function examines its
// attachments, one after another; they share the limits of archives.
//
// The function sets a.DetectedType from a.Content and returns the holds of the mail,
// each with a Detail that is the end of a sentence beginning with the attachment. An
// archive beyond the limits has the final verdict unscannable. One that is encrypted,
// damaged or packed by an unknown method has a hold but no verdict, because a scanner
// may still find malware in the rest. The second result are parts of messages in the
// attachment, to be scanned too; equal attachments return them once. The only error is
// the context's.
func (e *Examiner) Begin() func(ctx context.Context, a mail.Attachment) (mail.Attachment, [][]byte, []contract.Hold, error) {
	l := &examination{Examiner: e, met: map[walked]outcome{}}
	return l.examine
}

// examination is the examination of one mail.
type examination struct {
	*Examiner
	used spent
	met  map[walked]outcome
}

// walked identifies a finished walk.
type walked struct {
	sha256  string
	message bool
}

func (e *examination) examine(ctx context.Context, a mail.Attachment) (mail.Attachment, [][]byte, []contract.Hold, error) {
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

	met, err := e.walk(ctx, a)
	if err != nil {
		return a, nil, nil, err
	}
	if problem := met.problem(false); problem != "" {
		hold(contract.Unscannable, "%s", problem)
		a.Signature = problem
		if met.limit != "" {
			a.Verdict = mail.Unscannable
		}
	}
	return a, met.inner, holds, nil
}

// walk walks a unless the same bytes were walked before. It waits until memory is free.
func (e *examination) walk(ctx context.Context, a mail.Attachment) (outcome, error) {
	as := label{name: a.Filename, declared: a.ContentType}
	key := walked{a.SHA256, as.message(a.Content)}
	if met, ok := e.met[key]; ok && key.sha256 != "" {
		return met, nil
	}
	cost := e.cost(a.Content, key.message)
	if err := e.memory.Acquire(ctx, cost); err != nil {
		return outcome{}, fmt.Errorf("wait for memory: %w", err)
	}
	defer e.memory.Release(cost)
	met, err := e.cfg.Limits.walk(ctx, a.Content, as, &e.used, func(io.Reader) error { return nil })
	if err != nil {
		return met, err
	}
	known := met
	known.inner = nil // returned once
	e.met[key] = known
	return met, nil
}

// cost estimates the memory of a walk.
func (e *examination) cost(content []byte, message bool) int64 {
	const small = 64 << 10
	if !message && sniff(content[:min(len(content), sniffLen)]) == noArchive &&
		!bytes.Contains(content[max(0, len(content)-tailLen):], []byte("PK\x05\x06")) {
		return min(small, e.cfg.Memory)
	}
	return min(int64(len(content))+e.cfg.Limits.Nested, e.cfg.Memory)
}
