package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// rawTimeout bounds how long the raw mail may take to be read and scanned: a hung
// object store must not hold a place of the scanner for long.
const rawTimeout = 2 * time.Minute

// rawPrefix is put before the raw mail. clamd takes for mail what begins with one of
// the field names that it knows; after any other first line it would scan plain text and
// decode nothing in it.
const rawPrefix = "Received: from mailroom\r\n"

// MailOpener opens the raw mail under a key of the raw bucket, to be read once. The
// caller closes it; ctx covers the reading.
type MailOpener interface {
	OpenMail(ctx context.Context, key string) (io.ReadCloser, error)
}

// rawScan is the scan of the raw mail, which runs beside the inspection of the parts.
type rawScan struct {
	said chan scan
	err  error
}

// scanRaw begins to scan the raw mail of a manifest; it is nil where none came. The
// scan ends with ctx.
func (l *inspection) scanRaw(ctx context.Context, manifest *ledger.Manifest) *rawScan {
	if manifest.MIMEKey == "" {
		return nil
	}
	r := &rawScan{said: make(chan scan, 1)}
	go func() {
		defer close(r.said)
		said, err := l.deps.scanStored(ctx, manifest.MIMEKey)
		r.err = err
		r.said <- said
	}()
	return r
}

// scanStored streams a stored mail to the scanner.
func (d InspectDeps) scanStored(ctx context.Context, key string) (said scan, err error) {
	ctx, cancel := context.WithTimeout(ctx, rawTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // a panic outside the activity's goroutine would end the worker
			err = panicked(ctx, p)
		}
	}()

	content, err := d.Mail.OpenMail(ctx, key)
	if err != nil {
		return said, fmt.Errorf("open raw mail: %w", err)
	}
	defer func() { _ = content.Close() }()

	whole := io.MultiReader(strings.NewReader(rawPrefix), &verified{r: content, sum: sha256.New(), want: path.Base(key)})
	if said.verdict, said.signature, err = d.Scanner.Scan(ctx, whole); err != nil {
		return said, fmt.Errorf("scan raw mail: %w", err)
	}
	return said, nil
}

// verified reads content that must have the SHA-256 want, in lower-case hex; its end
// is an error where it has not.
type verified struct {
	r    io.Reader
	sum  hash.Hash
	want string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(v.sum.Sum(nil)) != v.want {
		return n, fault.New(fault.ContentLost, "the raw mail in the object store is not the one that was stored")
	}
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}

// judgeRaw waits for the scan of the raw mail and judges it: what it finds counts for the
// whole mail, unless a part of the mail explains it. It returns what the ledger records.
func (l *inspection) judgeRaw(r *rawScan, manifest *ledger.Manifest, defects []string) (contract.RawView, error) {
	if r == nil {
		return contract.RawAbsent, nil
	}
	said := <-r.said
	if r.err != nil {
		return "", r.err
	}
	l.used = true

	if said.verdict == mail.Unscannable && said.signature == mail.TooLargeToScan {
		if len(defects) == 0 {
			return contract.RawTooLarge, nil
		}
		said.signature += ", and programs may read it differently"
	}

	reason, detail := judge(said)
	if reason == "" {
		return contract.RawView(mail.Clean), nil
	}
	if !l.explained(reason, said, manifest, defects) {
		l.holds.add(reason, "the raw mail as a whole "+detail)
		l.tainted = &said
	}
	if reason == contract.Unscannable { // whatever the scanner calls it
		said.verdict = mail.Unscannable
	}
	return contract.RawView(said.verdict), nil
}

// explained reports whether what was found in the raw mail is known to be in one of
// its parts: in one that is held for the same reason, or in one that an edit drops,
// where every program takes the mail apart alike.
func (l *inspection) explained(reason contract.Reason, said scan, manifest *ledger.Manifest, defects []string) bool {
	if l.holds.has(reason) {
		return true
	}
	if len(defects) > 0 {
		return false
	}
	for _, a := range manifest.Attachments {
		if !l.dropped(a) || a.Verdict == "" {
			continue
		}
		why, _ := judge(scan{a.Verdict, a.Signature})
		if why == reason && (reason == contract.Unscannable || a.Signature == said.signature) {
			return true
		}
	}
	return false
}

// taintAttachments takes the verdict clean from the attachments of a mail that as a whole is not:
// nothing of it gets a link until a person releases it.
func (l *inspection) taintAttachments(list []mail.Attachment) {
	if l.tainted == nil {
		return
	}
	reason, detail := judge(*l.tainted)
	for i := range list {
		if list[i].Verdict != mail.Clean || l.dropped(list[i]) {
			continue
		}
		list[i].Verdict, list[i].Signature = mail.Suspicious, "the raw mail as a whole "+detail
		if reason == contract.Unscannable {
			list[i].Verdict = mail.Unscannable
		}
	}
}
