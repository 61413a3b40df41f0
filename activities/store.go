package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Bounds of the store step, in bytes unless they say otherwise.
const (
	// maxLedgerMessage is the longest parsed mail that is kept in its ledger row.
	maxLedgerMessage = 256 << 10
	// maxColumn bounds the texts that are kept for lists and rules, the longest
	// line of RFC 5322 §2.1.1. The whole text is in the message.
	maxColumn = 998
	// maxAuth and maxType bound what the provider says of the sender and of the event.
	maxAuth = 64
	maxType = 200
	// maxMarks is how many loop marks of one mail are looked up.
	maxMarks = 32
	// putsAtOnce is how many objects of one mail are written side by side.
	putsAtOnce = 4

	// A body costs about this many times its size while it is decoded: itself,
	// its texts, the raw mail and the decoded attachments.
	memoryFactor = 5
	// freeOfBudget is the size up to which a body takes nothing from the budget,
	// so that small mail never waits behind large mail.
	freeOfBudget        = 64 << 10
	defaultMemoryBudget = 256 << 20
)

// StoreLedger is what Store reads and writes of the ledger. SaveManifest removes
// the inbox row in the same transaction; a repeat of it keeps verdicts.
type StoreLedger interface {
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	// EarlierExists reports whether one of the events or rows is an email that the tenant of e
	// had before e.
	EarlierExists(ctx context.Context, e contract.Email, events []string, rows []int64) (bool, error)
	SaveManifest(ctx context.Context, m ledger.Manifest) error
}

// BodyReader returns a raw body, checked against its SHA-256 and at most max bytes
// long; what does not fit or does not match is an error.
type BodyReader interface {
	Body(ctx context.Context, key string, max int64, sha256hex string) ([]byte, error)
}

// ObjectWriter writes objects whose names are made of their content, so that a
// repeat writes the same again.
type ObjectWriter interface {
	// PutRaw writes to the bucket that no link leads to.
	PutRaw(ctx context.Context, key string, content []byte, contentType string) error
	// PutAttachment writes to the bucket of attachments.
	PutAttachment(ctx context.Context, key string, content []byte) error
}

// Decoder decodes a raw body to a mail, the better of what came in it, and returns what a
// person must look at. It decodes whatever it can; the event may be empty and is never
// nil. edit is nil where the email was not edited.
type Decoder interface {
	Decode(body []byte, edit *contract.Edit) (*mail.Event, []contract.Hold)
}

// StoreConfig sets the bounds of Store.
type StoreConfig struct {
	// Memory is how many bytes all mails that are decoded at once may take
	// together in this process, roughly; zero: 256 MiB.
	Memory int64
	// Budgets are handed to the workflow with each result.
	Budgets contract.Budgets
	// Parser names the Decoder; it is in each manifest.
	Parser string
}

// StoreDeps is what Store needs; all of it is required.
type StoreDeps struct {
	Ledger  StoreLedger
	Bodies  BodyReader
	Objects ObjectWriter
	Decoder Decoder
}

// Store is the step that writes the raw event, the raw mail and the attachments to the
// object store, and the manifest to the ledger.
type Store struct {
	deps    StoreDeps
	budgets contract.Budgets
	parser  string
	memory  *semaphore.Weighted
	total   int64
}

// NewStore checks that nothing is missing.
func NewStore(c StoreConfig, deps StoreDeps) (*Store, error) {
	if deps.Ledger == nil || deps.Bodies == nil || deps.Objects == nil || deps.Decoder == nil {
		return nil, errors.New("store: a dependency is missing")
	}
	if c.Memory <= 0 {
		c.Memory = defaultMemoryBudget
	}
	return &Store{
		deps: deps, budgets: c.Budgets, parser: c.Parser, memory: semaphore.NewWeighted(c.Memory), total: c.Memory,
	}, nil
}

// Store makes the mail of an event safe in the object store and its manifest
// known to the ledger, and removes it from the inbox then. It is idempotent on
// Email.ID, also once the inbox row is gone: a repeat writes the same objects
// and rows. What it cannot read is held; it stores the rest all the same, so
// that a person can let it go on. After an edit that concerns the decoding it
// reads the raw body once more, from the object store, and the manifest is what
// the edit makes of it; the raw body and the objects of before stay.
func (s *Store) Store(ctx context.Context, in contract.StoreInput) (out contract.StoreResult, err error) {
	defer translateError(ctx, in.Email, &err)
	defer startHeartbeat(ctx, in.Email.Size)()

	release, err := s.reserve(ctx, in.Email.Size)
	if err != nil {
		return out, fmt.Errorf("wait for memory: %w", err)
	}
	defer release()

	body, err := s.deps.Ledger.Body(ctx, in.Email.ID)
	if err != nil {
		return out, fmt.Errorf("read body: %w", err)
	}

	manifest, holds, err := s.storeObjects(ctx, in.Email, body)
	if err != nil {
		return out, err
	}
	if err := s.deps.Ledger.SaveManifest(ctx, manifest); err != nil {
		return out, fmt.Errorf("save manifest: %w", err)
	}
	return contract.StoreResult{Attachments: len(manifest.Attachments), Holds: holds, Budgets: s.budgets}, nil
}

// reserve waits until the memory budget has room for a body of size bytes.
func (s *Store) reserve(ctx context.Context, size int64) (release func(), err error) {
	if size <= freeOfBudget {
		return func() {}, nil
	}
	cost := min(size*memoryFactor, s.total)
	if err := s.memory.Acquire(ctx, cost); err != nil {
		return nil, fault.Wrap(fault.Overloaded, "too much mail is being stored at once", err)
	}
	return func() { s.memory.Release(cost) }, nil
}

// storeObjects decodes a body, writes its objects and returns its manifest. The body is
// dropped as soon as nothing needs it any more.
func (s *Store) storeObjects(ctx context.Context, email contract.Email, body ledger.Body) (ledger.Manifest, []contract.Hold, error) {
	m := ledger.Manifest{EmailID: email.ID, Parser: s.parser, RawKey: body.Key, Overlay: body.Overlay, Removals: body.Removals}
	raw, err := s.readRaw(ctx, email, body)
	if err != nil {
		return m, nil, err
	}
	event, holds, err := s.decode(ctx, email, raw, body.Overlay)
	if err != nil {
		return m, nil, err
	}

	var puts objects
	if body.Key == "" {
		m.RawKey = contract.BodyKey(body.SHA256)
		puts.raw(m.RawKey, raw, "application/json")
	}
	raw = nil //nolint:ineffassign,wastedassign // frees a large body before the writes begin

	if len(event.RawMIME) > 0 {
		m.MIMEKey = contract.MIMEKey(sha256.Sum256(event.RawMIME))
		puts.raw(m.MIMEKey, event.RawMIME, "message/rfc822")
		event.RawMIME = nil
	}

	m.Attachments = puts.attachments(event.Attachments)
	if err := describeMessage(&m, event, &puts); err != nil {
		return m, nil, err
	}
	if err := puts.write(ctx, s.deps.Objects); err != nil {
		return m, nil, err
	}
	return m, holds, nil
}

// decode decodes a raw body to a mail and returns what a person must look at, which
// includes a mail that has come back.
func (s *Store) decode(ctx context.Context, email contract.Email, raw []byte, edit *contract.Edit) (*mail.Event, []contract.Hold, error) {
	event, holds := s.deps.Decoder.Decode(raw, edit)
	if slices.ContainsFunc(holds, func(h contract.Hold) bool { return h.Reason == contract.LoopDetected }) {
		return event, holds, nil
	}

	back, err := s.isLoop(ctx, email, event.Message.Headers)
	if err != nil {
		return nil, nil, fmt.Errorf("look up loop marks: %w", err)
	}
	if back {
		holds = append(holds, contract.Hold{
			Reason: contract.LoopDetected, Detail: "the mail has the mark of an email that was here before: it comes back",
		})
	}
	return event, holds, nil
}

// isLoop reports whether a mail has the mark of an earlier email of its tenant.
// Marks are in header fields that any sender may write: one that names nothing of the
// tenant's, such as that of another Mailroom, says nothing, and one that does holds the
// mail that has it and no other.
func (s *Store) isLoop(ctx context.Context, email contract.Email, headers []mail.Header) (bool, error) {
	var (
		events []string
		rows   []int64
	)
	for _, h := range headers {
		if !strings.EqualFold(h.Name, contract.LoopHeader) || len(events)+len(rows) == maxMarks {
			continue
		}
		event, row, ok := contract.ReadLoopMark(h.Value)
		switch {
		case ok && event != "":
			events = append(events, event)
		case ok:
			rows = append(rows, row)
		}
	}

	if len(events)+len(rows) == 0 {
		return false, nil
	}
	return s.deps.Ledger.EarlierExists(ctx, email, events, rows)
}

// readRaw returns the bytes of the body, which are those that the ingress hashed.
func (s *Store) readRaw(ctx context.Context, email contract.Email, body ledger.Body) ([]byte, error) {
	if body.Key != "" {
		raw, err := s.deps.Bodies.Body(ctx, body.Key, email.Size, hex.EncodeToString(body.SHA256[:]))
		if err != nil {
			return nil, fmt.Errorf("read raw body: %w", err)
		}
		return raw, nil
	}
	if sha256.Sum256(body.Inline) != body.SHA256 {
		return nil, fault.New(fault.ContentLost, "the body in the inbox is not the one that was accepted")
	}
	return body.Inline, nil
}

// describeMessage fills what the manifest says of the message.
func describeMessage(m *ledger.Manifest, event *mail.Event, puts *objects) error {
	message := event.Message
	encoded, err := encode(message)
	if err != nil {
		return err
	}
	if len(encoded) > maxLedgerMessage {
		m.MessageKey = contract.MessageKey(m.EmailID, sha256.Sum256(encoded))
		puts.raw(m.MessageKey, encoded, "application/json")
	} else {
		m.Message = encoded
	}

	m.MessageID = cut(message.MessageID, maxColumn)
	m.Subject = cut(message.Subject, maxColumn)
	m.Sender = cut(event.Sender(), maxColumn)
	m.Recipients = event.Recipients()
	m.Reported = reported(event)
	return nil
}

// reported is what the provider said beside the mail, each text bounded.
func reported(event *mail.Event) mail.Reported {
	auth := event.Auth
	return mail.Reported{
		Auth:      mail.Auth{SPF: cut(auth.SPF, maxAuth), DKIM: cut(auth.DKIM, maxAuth), DMARC: cut(auth.DMARC, maxAuth)},
		Type:      cut(event.Type, maxType),
		Timestamp: event.Timestamp,
		Mailbox:   cut(event.Mailbox, maxColumn),
	}
}

// objects are the objects of one mail that are yet to be written, each once.
type objects struct {
	seen map[string]bool
	list []object
}

// object is one of them. It is an attachment when it has no content type: what
// the sender declares is not repeated by the object store.
type object struct {
	key         string
	content     []byte
	contentType string
}

func (o *objects) raw(key string, content []byte, contentType string) {
	o.list = append(o.list, object{key: key, content: content, contentType: contentType})
}

// attachments names the object of each attachment and returns the list of the manifest. An
// attachment whose bytes are not here has neither key nor hash.
func (o *objects) attachments(list []mail.Attachment) []mail.Attachment {
	out := make([]mail.Attachment, len(list))
	o.seen = make(map[string]bool, len(list))
	for i, a := range list {
		content := a.Content
		a.Content, list[i].Content = nil, nil
		if content != nil {
			sum := sha256.Sum256(content)
			a.SHA256, a.Size, a.Key = hex.EncodeToString(sum[:]), int64(len(content)), contract.AttachmentKey(sum)
			if !o.seen[a.Key] {
				o.seen[a.Key] = true
				o.list = append(o.list, object{key: a.Key, content: content})
			}
		}
		out[i] = a
	}
	return out
}

// write writes all of them and forgets their content one by one.
func (o *objects) write(ctx context.Context, to ObjectWriter) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(putsAtOnce)
	for i := range o.list {
		group.Go(func() error {
			one := o.list[i]
			o.list[i].content = nil
			put := func() error { return to.PutRaw(ctx, one.key, one.content, one.contentType) }
			if one.contentType == "" {
				put = func() error { return to.PutAttachment(ctx, one.key, one.content) }
			}
			if err := put(); err != nil {
				return fmt.Errorf("put object %s: %w", one.key, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// encode returns v as JSON without the escapes that would make HTML mail a third longer.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// cut shortens text to at most max bytes without breaking a character.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return strings.Clone(text[:max])
}
