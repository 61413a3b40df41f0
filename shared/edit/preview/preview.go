// Package preview makes an edit ready for its decision: held against the email it
// is for, shown as a difference, and kept in the ledger. Both who decides through
// our own programs and who sends a signal past them get their edits checked here.
//
// Invariants: nothing here changes an email or applies an edit; what is shown is
// what the steps would make of it, because the same code decodes the body and lays
// the overlay; the memory that a preview takes is bounded, and one waits for the
// other.
package preview

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/decode"
	"mailroom/shared/edit"
	"mailroom/shared/excerpt"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Bounds of a preview, in bytes.
const (
	// maxDecoded is the largest body that is decoded to show what another character
	// set or another name of a member makes of it: it costs five times its size.
	maxDecoded = 8 << 20
	// maxMessage is the largest parsed mail that is compared with what another reading
	// makes of the same body. No text of a body of maxDecoded is longer.
	maxMessage = 32 << 20
)

// Ledger is what an Editor reads and writes.
type Ledger interface {
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	CreateEdit(ctx context.Context, e ledger.NewEdit) (int64, error)
}

// Objects reads the object store; what does not fit or does not match is an error.
type Objects interface {
	excerpt.Objects
	ReadAll(ctx context.Context, b blob.Bucket, key string, limit int64, sha256hex string) ([]byte, error)
}

// Router says where a mail would go, its edits in manifest.Overlay laid over it: the rules.
type Router interface {
	Route(in contract.RouteInput, manifest *ledger.Manifest, message *mail.Message) contract.RouteResult
}

// Config names what an edit may send mail to: of the destinations, those that serve
// the tenant of the email.
type Config struct {
	Destinations []config.Destination
}

// Deps is what an Editor needs; all of it is required but Rules.
type Deps struct {
	Ledger  Ledger
	Objects Objects
	Rules   Router // nil: a preview knows destinations only where the edit names them
}

// Editor makes drafts. It is safe for concurrent use.
type Editor struct {
	config Config
	deps   Deps
	turn   chan struct{}   // one decoding at a time
	whole  *excerpt.Reader // of parsed mails that are compared
	brief  *excerpt.Reader // of others
}

// New checks that nothing is missing.
func New(c Config, deps Deps) (*Editor, error) {
	if deps.Ledger == nil || deps.Objects == nil {
		return nil, errors.New("draft: a dependency is missing")
	}
	return &Editor{
		config: c, deps: deps, turn: make(chan struct{}, 1),
		whole: excerpt.NewReader(deps.Objects, excerpt.Limits{Text: maxMessage, Total: maxMessage}),
		brief: excerpt.NewReader(deps.Objects, excerpt.Usual),
	}, nil
}

// Preview is what an edit would do.
type Preview struct {
	// Step is where the email would be taken up, unless an earlier step holds it.
	Step    contract.Step   `json:"step"`
	Changes []ledger.Change `json:"changes"`
	// Destinations are where the email would go then; null where that is not known.
	Destinations []string `json:"destinations"`
}

// Preview says what an edit would do, laid over those that were applied before. It
// fails with request_invalid when the edit makes no sense for this email, and with
// decision_refused when the email has not been stored yet.
func (e *Editor) Preview(ctx context.Context, email contract.Email, change contract.Edit) (Preview, error) {
	body, err := e.deps.Ledger.Body(ctx, email.ID)
	if err != nil {
		return Preview{}, fmt.Errorf("read body: %w", err)
	}
	if !body.Stored {
		return Preview{}, fault.New(fault.DecisionRefused, "this email has not been stored yet: there is nothing to edit")
	}

	manifest, err := e.deps.Ledger.Manifest(ctx, email.ID)
	if err != nil {
		return Preview{}, fmt.Errorf("read manifest: %w", err)
	}
	if err := edit.Validate(change, edit.Known{Destinations: e.Destinations(email.Tenant), Attachments: manifest.Attachments}); err != nil {
		return Preview{}, err
	}

	message, whole, err := e.message(ctx, email, manifest)
	if err != nil {
		return Preview{}, err
	}

	var old contract.Edit
	if manifest.Overlay != nil {
		old = *manifest.Overlay
	}

	merged := edit.Merge(old, change)
	now := edit.Picture{Manifest: *manifest, Message: *message}
	then, problems := now, []ledger.Change(nil)
	if edit.Step(change) == contract.StepStore && email.Size <= maxDecoded && whole {
		if then, problems, err = e.decoded(ctx, email, body, now, old, merged); err != nil {
			return Preview{}, err
		}
	}

	before, after := now.Apply(old), then.Apply(merged)
	before.Destinations, after.Destinations = e.route(email, now, old), e.route(email, then, merged)
	return Preview{
		Step:         edit.Step(change),
		Changes:      slices.Concat(readings(old, merged), problems, edit.Diff(before, after)),
		Destinations: after.Destinations,
	}, nil
}

// SaveEdit keeps an edit that Preview accepts, and what it said of it.
func (e *Editor) SaveEdit(ctx context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error) {
	preview, err := e.Preview(ctx, in.Email, in.Edit)
	if err != nil {
		return contract.SaveEditResult{}, err
	}
	id, err := e.deps.Ledger.CreateEdit(ctx, ledger.NewEdit{
		EmailID: in.Email.ID, Edit: edit.Merge(in.Edit), Actor: in.Actor, Note: in.Note, Key: in.Key, Changes: preview.Changes,
	})
	if err != nil {
		return contract.SaveEditResult{}, fmt.Errorf("keep edit: %w", err)
	}
	return contract.SaveEditResult{EditID: id, From: preview.Step}, nil
}

// message reads the parsed mail, and reports whether whole, so that it can be compared
// with another reading of the body. Of a large one the texts are cut; one whose headers
// are larger than any that is shown is taken as without all of it.
func (e *Editor) message(ctx context.Context, email contract.Email, m *ledger.Manifest) (message *mail.Message, whole bool, err error) {
	if email.Size <= maxDecoded {
		message, err = e.whole.Message(ctx, m)
		if !fault.Is(err, fault.BodyTooLarge) {
			return message, true, err
		}
	}
	message, err = e.brief.Message(ctx, m)
	if fault.Is(err, fault.BodyTooLarge) {
		return &mail.Message{}, false, nil
	}
	return message, false, err
}

// decoded gives the picture of the body as the merged edit lets it be read, and
// what becomes of the problems in it.
func (e *Editor) decoded(ctx context.Context, email contract.Email, body ledger.Body, now edit.Picture, old, merged contract.Edit,
) (edit.Picture, []ledger.Change, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return now, nil, fault.Wrap(fault.Overloaded, "too many edits are being looked at", ctx.Err())
	}

	raw, err := e.deps.Objects.ReadAll(ctx, blob.Raw, body.Key, email.Size, hex.EncodeToString(body.SHA256[:]))
	if err != nil {
		return now, nil, fmt.Errorf("read raw body: %w", err)
	}

	_, was := decode.Decoder{}.Decode(raw, &old)
	event, is := decode.Decoder{}.Decode(raw, &merged)
	then := edit.Picture{Manifest: now.Manifest, Message: event.Message}
	m := &then.Manifest
	m.Subject, m.MessageID, m.Recipients = event.Message.Subject, event.Message.MessageID, event.Recipients()
	m.Sender = event.Sender()
	m.Attachments = attachments(event.Attachments, now.Manifest.Attachments)
	var problems []ledger.Change
	if before, after := sentences(was), sentences(is); before != after {
		problems = []ledger.Change{{Field: "problems", Before: before, After: after}}
	}

	return then, problems, nil
}

// attachments gives those of a decoded body, with what is known of the same content.
func attachments(decoded, known []mail.Attachment) []mail.Attachment {
	out := make([]mail.Attachment, len(decoded))
	for i, a := range decoded {
		if a.Content != nil {
			sum := sha256.Sum256(a.Content)
			a.SHA256, a.Size, a.Content = hex.EncodeToString(sum[:]), int64(len(a.Content)), nil
		}
		for _, k := range known {
			if k.SHA256 == a.SHA256 && a.SHA256 != "" {
				a.Verdict, a.Signature, a.DetectedType = k.Verdict, k.Signature, k.DetectedType
			}
		}
		out[i] = a
	}
	return out
}

func sentences(holds []contract.Hold) string {
	out := make([]string, len(holds))
	for i, h := range holds {
		out[i] = h.Detail
	}
	return strings.Join(out, "; ")
}

// readings are the changes of how the body is read.
func readings(old, merged contract.Edit) []ledger.Change {
	var out []ledger.Change
	if old.Charset != merged.Charset {
		out = append(out, ledger.Change{Field: "charset", Before: old.Charset, After: merged.Charset})
	}
	for _, target := range edit.Targets() {
		was, is := source(old, target), source(merged, target)
		if was != is {
			out = append(out, ledger.Change{Field: "fields." + target, Before: was, After: is})
		}
	}
	return out
}

// source gives the member that is read as target.
func source(e contract.Edit, target string) string {
	for from, to := range e.Fields {
		if to == target {
			return from
		}
	}
	return target
}

// route says where an edited email goes; nil where that cannot be told.
func (e *Editor) route(email contract.Email, p edit.Picture, edit contract.Edit) []string {
	if e.deps.Rules == nil {
		return edit.To
	}
	p.Manifest.Overlay = &edit
	out := e.deps.Rules.Route(contract.RouteInput{Email: email}, &p.Manifest, &p.Message)
	return append([]string{}, out.Destinations...)
}

// Destinations returns, in the order of the configuration, what an edit of an email
// of the tenant may name.
func (e *Editor) Destinations(tenant string) []string {
	var out []string
	for _, d := range e.config.Destinations {
		if d.Serves(tenant) {
			out = append(out, d.Name)
		}
	}
	return out
}
