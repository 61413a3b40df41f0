package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Bounds of one inspection. What is beyond them is held without being inspected.
const (
	// maxInspected is the largest attachment in bytes that is read at all; the
	// configured size limit is below it, and such an attachment is scanned all the same.
	maxInspected = 64 << 20
	// maxAttachments is how many attachments of one mail are inspected.
	maxAttachments = 1000
)

// emptySHA256 is the hash of no bytes.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// VerdictLedger is what Inspect reads and writes of the ledger. SaveVerdicts
// takes every attachment in the order of the manifest and overwrites earlier verdicts.
type VerdictLedger interface {
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	SaveVerdicts(ctx context.Context, emailID int64, attachments []mail.Attachment) error
}

// AttachmentReader returns the bytes of a stored attachment, checked against
// a.SHA256, at most max of them; what does not fit or does not match is an error.
type AttachmentReader interface {
	Attachment(ctx context.Context, a mail.Attachment, max int64) ([]byte, error)
}

// MessageReader returns the parsed mail of a manifest, from the ledger or the object store.
type MessageReader interface {
	Message(ctx context.Context, m *ledger.Manifest) (*mail.Message, error)
}

// Examiner inspects attachments without a scanner: the declared type against the one that
// is found, the allow-list, sizes, the limits of archives. Begin begins the inspection of
// one mail and returns the function that inspects its attachments, one after another;
// a.Content holds the bytes. The function returns a with DetectedType filled, the contents
// of messages inside it, once for the same bytes, and what to hold the mail for, each
// Detail being the end of a sentence that begins with "attachment 2 of 3 ". A Verdict in
// its result is final and spares the scanner; without one the scanner scans a and those
// contents.
type Examiner interface {
	Begin() func(ctx context.Context, a mail.Attachment) (mail.Attachment, [][]byte, []contract.Hold, error)
}

// Scanner looks for malware in everything that r returns. The string names what was found,
// or says why there is no verdict. An error means not scanned: fault.ScannerUnavailable
// while the scanner is unavailable, else r's own.
type Scanner interface {
	Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error)
	// Using names the scanner and its database, each empty where that is not known.
	// It does not call the scanner each time.
	Using(ctx context.Context) (scanner, database string)
}

// InspectDeps is what Inspect needs; all of it is required but Now.
type InspectDeps struct {
	Ledger   VerdictLedger
	Content  AttachmentReader
	Messages MessageReader
	Mail     MailOpener
	Examiner Examiner
	Scanner  Scanner
	Now      func() time.Time // nil: time.Now
}

// Inspect is the step that examines and scans the attachments and the raw mail.
type Inspect struct{ deps InspectDeps }

// NewInspect checks that nothing is missing.
func NewInspect(deps InspectDeps) (*Inspect, error) {
	if deps.Ledger == nil || deps.Content == nil || deps.Messages == nil || deps.Mail == nil ||
		deps.Examiner == nil || deps.Scanner == nil {
		return nil, errors.New("inspect: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Inspect{deps: deps}, nil
}

// Inspect decides on a verdict for every attachment, scans the text of the mail and the raw
// mail as a whole, and returns what a person must see: programs may take a mail apart in
// different ways, so the worst of all views counts. It is idempotent on Email.ID: a repeat
// inspects again and overwrites. An unavailable scanner is an error, never a verdict, and
// then no verdict of this mail is saved. An attachment that an edit drops is not inspected
// any more: it keeps the verdict it has, and holds nothing.
func (s *Inspect) Inspect(ctx context.Context, in contract.InspectInput) (out contract.InspectResult, err error) {
	defer translateError(ctx, in.Email, &err)
	defer startHeartbeat(ctx, in.Email.Size)()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	manifest, err := s.deps.Ledger.Manifest(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read manifest: %w", err)
	}
	look := inspection{
		deps: s.deps, examine: s.deps.Examiner.Begin(), total: len(manifest.Attachments), edit: manifest.Overlay,
		scanned: map[string]scan{},
	}
	raw := look.scanRaw(ctx, manifest)

	seen, err := look.inspectAttachments(ctx, manifest.Attachments)
	if err != nil {
		return out, err
	}
	message, err := s.deps.Messages.Message(ctx, manifest)
	if err != nil {
		return out, fmt.Errorf("read message: %w", err)
	}

	if err := look.scanText(ctx, message); err != nil {
		return out, fmt.Errorf("inspect text: %w", err)
	}
	if out.Inspected.RawView, err = look.judgeRaw(raw, manifest, message.Defects); err != nil {
		return out, err
	}
	look.taintAttachments(seen)

	if err := s.deps.Ledger.SaveVerdicts(ctx, in.Email.ID, seen); err != nil {
		return out, fmt.Errorf("save verdicts: %w", err)
	}

	out.Holds, out.Verdicts = look.holds.list(), look.countVerdicts(seen)
	if look.used {
		out.Inspected.Scanner, out.Inspected.Database = s.deps.Scanner.Using(ctx)
	}
	out.Inspected.AtUnixMilli, out.Inspected.Content = s.deps.Now().UnixMilli(), edit.Judged(manifest)
	return out, nil
}

// uninspected returns a dropped attachment, with the verdict that keeps it in where it has
// none.
func uninspected(a mail.Attachment) mail.Attachment {
	if a.Verdict == "" {
		a.Verdict, a.Signature = mail.Unscannable, "dropped before it was looked at"
	}
	return a
}

// scan is what the scanner said of some bytes.
type scan struct {
	verdict   mail.Verdict
	signature string
}

// inspection is the inspection of one mail.
type inspection struct {
	deps    InspectDeps
	examine func(ctx context.Context, a mail.Attachment) (mail.Attachment, [][]byte, []contract.Hold, error)
	total   int
	edit    *contract.Edit  // nil: none
	scanned map[string]scan // by SHA-256: the same bytes are scanned once a mail
	holds   holds
	used    bool  // the scanner has scanned something
	tainted *scan // what was found in the raw mail that no part explains; nil: nothing
}

// inspectAttachments returns the attachments with their types and verdicts.
func (l *inspection) inspectAttachments(ctx context.Context, list []mail.Attachment) ([]mail.Attachment, error) {
	seen := make([]mail.Attachment, 0, len(list))
	for i, a := range list {
		if l.dropped(a) {
			seen = append(seen, uninspected(a))
			continue
		}
		a, err := l.inspectAttachment(ctx, i, a)
		if err != nil {
			return nil, fmt.Errorf("inspect attachment %d: %w", i+1, err)
		}
		seen = append(seen, a)
	}
	return seen, nil
}

// dropped reports whether an edit drops a.
func (l *inspection) dropped(a mail.Attachment) bool {
	return l.edit != nil && edit.Dropped(a, *l.edit)
}

// countVerdicts counts the verdicts on the attachments that were inspected.
func (l *inspection) countVerdicts(seen []mail.Attachment) map[mail.Verdict]int {
	verdicts := make(map[mail.Verdict]int)
	for _, a := range seen {
		if !l.dropped(a) {
			verdicts[a.Verdict]++
		}
	}
	return verdicts
}

// inspectAttachment returns a with its type and verdict.
func (l *inspection) inspectAttachment(ctx context.Context, index int, a mail.Attachment) (mail.Attachment, error) {
	a.DetectedType, a.Verdict, a.Signature = "", mail.Unscannable, ""
	held := map[contract.Reason]bool{} // two checks may find the same
	hold := func(reason contract.Reason, detail string) {
		if held[reason] {
			return
		}
		held[reason] = true
		l.holds.add(reason, fmt.Sprintf("attachment %d of %d %s", index+1, l.total, detail))
	}

	empty := a.Key == "" && a.SHA256 == emptySHA256
	switch {
	case a.Key == "" && !empty:
		a.Signature = "no content" // the store step holds the mail for it
		return a, nil
	case index >= maxAttachments:
		a.Signature = "too many attachments"
		hold(contract.TooLarge, fmt.Sprintf("is beyond the limit of %d", maxAttachments))
		return a, nil
	case a.Size > maxInspected:
		a.Signature = "too large to inspect"
		hold(contract.TooLarge, fmt.Sprintf("has %d bytes, too many to inspect", a.Size))
		return a, nil
	}

	if empty {
		a.Content = []byte{}
	} else {
		content, err := l.deps.Content.Attachment(ctx, a, maxInspected)
		if err != nil {
			return a, fmt.Errorf("read content: %w", err)
		}
		if int64(len(content)) != a.Size {
			return a, fault.New(fault.ContentLost, "an attachment in the object store does not have the size it was stored with")
		}
		a.Content = content
	}
	return l.inspectContent(ctx, a, hold)
}

// inspectContent examines and scans an attachment whose content is at hand, and drops the
// content.
func (l *inspection) inspectContent(ctx context.Context, a mail.Attachment, hold func(contract.Reason, string)) (mail.Attachment, error) {
	content := a.Content
	a.Verdict = ""

	a, inner, found, err := l.examine(ctx, a)
	if err != nil {
		return a, fmt.Errorf("examine: %w", err)
	}
	a.Content = nil
	for _, h := range found {
		hold(h.Reason, h.Detail)
	}
	if a.Verdict != "" {
		return a, nil
	}

	said, err := l.scanParts(ctx, a.SHA256, content, inner)
	if err != nil {
		return a, err
	}
	if reason, detail := judge(said); reason != "" {
		hold(reason, detail)
		a.Verdict, a.Signature = said.verdict, said.signature
		return a, nil
	}
	a.Verdict = verdictOf(found)
	return a, nil
}

// scanParts has content and what was found inside it scanned up to the first find, and
// returns the last result that is not clean. The same bytes are scanned once.
func (l *inspection) scanParts(ctx context.Context, hash string, content []byte, inner [][]byte) (scan, error) {
	said, err := l.scanOnce(ctx, hash, content)
	if err != nil {
		return said, err
	}

	for _, part := range inner {
		if reason, _ := judge(said); reason == contract.Infected {
			break
		}
		sum := sha256.Sum256(part)
		next, err := l.scanOnce(ctx, hex.EncodeToString(sum[:]), part)
		if err != nil {
			return said, err
		}
		if next.verdict != mail.Clean {
			said = next
		}
	}

	if hash != "" {
		l.scanned[hash] = said
	}
	return said, nil
}

// scanOnce scans content unless there is a result for its hash.
func (l *inspection) scanOnce(ctx context.Context, hash string, content []byte) (scan, error) {
	if said, ok := l.scanned[hash]; ok && hash != "" {
		return said, nil
	}
	var said scan
	var err error
	if said.verdict, said.signature, err = l.deps.Scanner.Scan(ctx, bytes.NewReader(content)); err != nil {
		return said, fmt.Errorf("scan: %w", err)
	}
	l.used = true
	if hash != "" {
		l.scanned[hash] = said
	}
	return said, nil
}

// verdictOf is the verdict on an attachment in which the scanner found nothing.
func verdictOf(found []contract.Hold) mail.Verdict {
	verdict := mail.Clean
	for _, h := range found {
		switch h.Reason {
		case contract.Unscannable:
			return mail.Unscannable
		case contract.AttachmentMismatch:
			verdict = mail.Suspicious
		}
	}
	return verdict
}

// scanText has the readable parts of the mail scanned, in one go.
func (l *inspection) scanText(ctx context.Context, message *mail.Message) error {
	if message.Text == "" && message.HTML == "" {
		return nil
	}
	r := io.MultiReader(strings.NewReader(message.Text), strings.NewReader("\n\n"), strings.NewReader(message.HTML))
	verdict, signature, err := l.deps.Scanner.Scan(ctx, r)
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	l.used = true
	if reason, detail := judge(scan{verdict, signature}); reason != "" {
		l.holds.add(reason, "the text of the mail "+detail)
	}
	return nil
}

// judge returns what to hold for; an unknown verdict of the scanner counts as not scanned.
func judge(s scan) (contract.Reason, string) {
	switch s.verdict {
	case mail.Clean:
		return "", ""
	case mail.Infected, mail.Suspicious:
		return contract.Infected, fmt.Sprintf("is %s: %s", s.verdict, s.signature)
	default:
		return contract.Unscannable, "could not be scanned: " + s.signature
	}
}
