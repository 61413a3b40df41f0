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
	// maxDecoded is the largest body that is decoded again to show the effect of
	// another character set or other names of members, at five times its size in memory.
	maxDecoded = 8 << 20
	// maxMessage is the largest parsed mail that is compared with the one decoded
	// again. No text in a body of maxDecoded is longer.
	maxMessage = 32 << 20
)

// Ledger is what an Editor reads and writes.
type Ledger interface {
	Body(ctx context.Context, emailID int64) (ledger.Body, error)
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	CreateEdit(ctx context.Context, e ledger.NewEdit) (int64, error)
}

// Objects reads the object store, as blob.Store does.
type Objects interface {
	excerpt.Objects
	ReadAll(ctx context.Context, b blob.Bucket, key string, limit int64, sha256hex string) ([]byte, error)
}

// Router returns the destinations of a mail with its edits, manifest.Overlay, applied.
// The rules are one.
type Router interface {
	Route(in contract.RouteInput, manifest *ledger.Manifest, message *mail.Message) contract.RouteResult
}

// Config has the destinations. An edit may name those that serve the email's tenant.
type Config struct {
	Destinations []config.Destination
}

// Deps is what an Editor needs; all of it is required.
type Deps struct {
	Ledger  Ledger
	Objects Objects
	Rules   Router
}

// Editor previews and saves edits. It is safe for concurrent use.
type Editor struct {
	config Config
	deps   Deps
	turn   chan struct{}   // one decoding at a time
	whole  *excerpt.Reader // of parsed mails that are compared with one decoded again
	brief  *excerpt.Reader // of other parsed mails, with cut texts
}

// New returns an Editor, or an error if a dependency is missing.
func New(c Config, deps Deps) (*Editor, error) {
	if deps.Ledger == nil || deps.Objects == nil || deps.Rules == nil {
		return nil, errors.New("preview: a dependency is missing")
	}
	return &Editor{
		config: c, deps: deps, turn: make(chan struct{}, 1),
		whole: excerpt.NewReader(deps.Objects, excerpt.Limits{Text: maxMessage, Total: maxMessage}),
		brief: excerpt.NewReader(deps.Objects, excerpt.Usual),
	}, nil
}

// Preview is the effect that an edit would have.
type Preview struct {
	// Step is where the email would continue, unless an earlier step holds it.
	Step    contract.Step   `json:"step"`
	Changes []ledger.Change `json:"changes"`
	// Destinations are where the email would be delivered.
	Destinations []string `json:"destinations"`
}

// Preview returns the effect that an edit would have on top of those already applied.
// It fails with request_invalid if the edit is not valid for this email, and with
// decision_refused if the email is not stored yet.
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

// SaveEdit saves an edit that Preview accepts, with its changes. It is idempotent on
// in.Key.
func (e *Editor) SaveEdit(ctx context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error) {
	preview, err := e.Preview(ctx, in.Email, in.Edit)
	if err != nil {
		return contract.SaveEditResult{}, err
	}
	id, err := e.deps.Ledger.CreateEdit(ctx, ledger.NewEdit{
		EmailID: in.Email.ID, Edit: edit.Merge(in.Edit), Actor: in.Actor, Note: in.Note, Key: in.Key, Changes: preview.Changes,
	})
	if err != nil {
		return contract.SaveEditResult{}, fmt.Errorf("save edit: %w", err)
	}
	return contract.SaveEditResult{EditID: id, From: preview.Step}, nil
}

// message reads the parsed mail, and reports whether it is whole and can be compared
// with the body decoded again. The texts of a large mail are cut. If even its headers
// exceed the limit, the preview is made with an empty mail: the edit can still be saved.
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

// decoded returns the picture of the body decoded with the merged edit, and the change
// in the problems found in it.
func (e *Editor) decoded(ctx context.Context, email contract.Email, body ledger.Body, now edit.Picture, old, merged contract.Edit,
) (edit.Picture, []ledger.Change, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return now, nil, fault.Wrap(fault.Overloaded, "too many edits are being previewed", ctx.Err())
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

// attachments returns those of a decoded body, with the known verdicts of equal content.
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

// readings returns the changes of how the body is decoded.
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

// source returns the member that is read as target.
func source(e contract.Edit, target string) string {
	for from, to := range e.Fields {
		if to == target {
			return from
		}
	}
	return target
}

// route returns the destinations of an edited email.
func (e *Editor) route(email contract.Email, p edit.Picture, edit contract.Edit) []string {
	p.Manifest.Overlay = &edit
	out := e.deps.Rules.Route(contract.RouteInput{Email: email}, &p.Manifest, &p.Message)
	return append([]string{}, out.Destinations...)
}

// Destinations returns, in the order of the configuration, the names of those that an
// edit of an email of the tenant may name.
func (e *Editor) Destinations(tenant string) []string {
	var out []string
	for _, d := range e.config.Destinations {
		if d.Serves(tenant) {
			out = append(out, d.Name)
		}
	}
	return out
}
