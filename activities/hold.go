package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// HoldSchema names the layout of what is posted about an email that is held for
// long. It holds nothing of the mail. Its JSON Schema is
// activities/downstream/mailroom.hold.v1.json.
const HoldSchema = "mailroom.hold.v1"

// Planner returns what the configuration wants of holds.
type Planner interface {
	Plan(in contract.HoldInput) contract.HoldPlan
}

// ReminderLedger records reminders.
type ReminderLedger interface {
	// Attend records that people were reminded. It does nothing to an email that has
	// gone on.
	Attend(ctx context.Context, in contract.RemindInput) error
}

// HoldsDeps is what Holds needs; all of it is required but Sender, Gate and To.
type HoldsDeps struct {
	Ledger ReminderLedger
	Plans  Planner
	// Sender posts notices to the destination To, where one is configured, about
	// emails of the tenants that it serves.
	Sender Sender
	Gate   Gate
	To     string
	// Link is the address below which people find the emails; empty: notices have none.
	Link string
}

// Holds plans holds, and reminds people of emails that wait for them.
type Holds struct{ deps HoldsDeps }

// NewHolds checks that nothing is missing.
func NewHolds(deps HoldsDeps) (*Holds, error) {
	if deps.Ledger == nil || deps.Plans == nil {
		return nil, errors.New("holds: a dependency is missing")
	}
	if deps.To != "" && (deps.Sender == nil || deps.Gate == nil) {
		return nil, errors.New("holds: a sender is missing")
	}
	return &Holds{deps: deps}, nil
}

// PlanHold returns when people are reminded of a hold, what becomes of it at its deadline
// and how many have to approve. It reads the worker's configuration alone.
func (s *Holds) PlanHold(ctx context.Context, in contract.HoldInput) (out contract.HoldPlan, err error) {
	defer translateError(ctx, in.Email, &err)

	out = s.deps.Plans.Plan(in)
	out.Notify = s.notifies(in.Email)
	return out, nil
}

// Remind makes a hold that has lasted stand out in the ledger. It is idempotent on
// Email.ID, SinceUnixMilli and Number.
func (s *Holds) Remind(ctx context.Context, in contract.RemindInput) (err error) {
	defer translateError(ctx, in.Email, &err)

	if err := s.deps.Ledger.Attend(ctx, in); err != nil {
		return fmt.Errorf("record reminder %d: %w", in.Number, err)
	}
	return nil
}

// Notify posts a reminder to the configured destination, under an idempotency key
// that is a function of Email.WorkflowID, SinceUnixMilli, the step and Number.
func (s *Holds) Notify(ctx context.Context, in contract.RemindInput) (err error) {
	defer translateError(ctx, in.Email, &err)

	if !s.notifies(in.Email) { // the configuration has changed since the plan was made
		return nil
	}
	if isFast(ctx) && !s.deps.Gate.Quick(s.deps.To) {
		return errNotFast
	}

	key := noticeKey(in)
	d := ledger.Delivery{EmailID: in.Email.ID, Destination: s.deps.To, IdempotencyKey: key}
	done := func() {}
	defer func() { done() }()
	_, err = s.deps.Sender.Send(ctx, in.Email, d, func(ctx context.Context) ([]byte, error) {
		leave, err := reservePlace(ctx, s.deps.Gate, s.deps.To)
		if err != nil {
			return nil, err
		}
		done = leave
		return s.notice(in, key)
	})
	if err != nil {
		return fmt.Errorf("notify %s: %w", s.deps.To, err)
	}
	return nil
}

// notifies reports whether notices about the email go to a destination: one is
// configured and serves its tenant.
func (s *Holds) notifies(email contract.Email) bool {
	return s.deps.To != "" && s.deps.Sender.Serves(s.deps.To, email.Tenant)
}

// noticeKey is the same on each attempt at one notice, and no other's.
func noticeKey(in contract.RemindInput) string {
	number := strconv.Itoa(in.Number)
	if in.Deadline {
		number += " deadline"
	}
	return contract.IdempotencyKey(in.Email.WorkflowID,
		strings.Join([]string{HoldSchema, in.Step, strconv.FormatInt(in.SinceUnixMilli, 10), number}, "\x00"))
}

// notice is the JSON of a reminder. Fields are added, never renamed.
type notice struct {
	Schema         string            `json:"schema"`
	IdempotencyKey string            `json:"idempotency_key"`
	EventID        string            `json:"event_id"`
	WorkflowID     string            `json:"workflow_id"`
	Source         string            `json:"source"`
	Tenant         string            `json:"tenant"`
	CorrelationID  string            `json:"correlation_id"`
	State          contract.State    `json:"state"`
	Level          string            `json:"level"` // reminder, escalation or deadline
	Number         int               `json:"number"`
	Step           string            `json:"step"`
	Reasons        []contract.Reason `json:"reasons"`
	HeldSince      time.Time         `json:"held_since"`
	HeldSeconds    int64             `json:"held_seconds"`
	Deadline       *time.Time        `json:"deadline"`
	AtDeadline     string            `json:"at_deadline"`
	Link           string            `json:"link,omitempty"`
}

func (s *Holds) notice(in contract.RemindInput, key string) ([]byte, error) {
	n := notice{
		Schema: HoldSchema, IdempotencyKey: key, EventID: in.Email.EventID, WorkflowID: in.Email.WorkflowID,
		Source: in.Email.Source, Tenant: in.Email.Tenant, CorrelationID: in.Email.CorrelationID,
		State: contract.Quarantined, Level: ReminderLevel(in), Number: in.Number, Step: in.Step, Reasons: contract.ReasonsOf(in.Holds),
		HeldSince: time.UnixMilli(in.SinceUnixMilli).UTC(), HeldSeconds: (in.AtUnixMilli - in.SinceUnixMilli) / 1000,
		AtDeadline: in.AtDeadline,
	}

	if in.DeadlineUnixMilli > 0 {
		at := time.UnixMilli(in.DeadlineUnixMilli).UTC()
		n.Deadline = &at
	}

	if s.deps.Link != "" {
		n.Link = strings.TrimRight(s.deps.Link, "/") + "/emails/" + url.PathEscape(in.Email.EventID) +
			"?source=" + url.QueryEscape(in.Email.Source)
		if in.Email.WorkflowID != contract.WorkflowID(in.Email.Source, in.Email.EventID) { // it came under a taken id
			n.Link += "&number=" + strconv.FormatInt(in.Email.ID, 10)
		}
	}

	text, err := json.Marshal(n)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "the notice cannot be written", err)
	}
	return text, nil
}

// The levels of reminders by name.
const (
	LevelReminder   = "reminder"
	LevelEscalation = "escalation"
	LevelDeadline   = "deadline"
)

// ReminderLevels lists them once.
var ReminderLevels = []string{LevelReminder, LevelEscalation, LevelDeadline}

// ReminderLevel names what a reminder is.
func ReminderLevel(in contract.RemindInput) string {
	switch {
	case in.Deadline:
		return LevelDeadline
	case in.Level >= contract.AttentionEscalated:
		return LevelEscalation
	}
	return LevelReminder
}
