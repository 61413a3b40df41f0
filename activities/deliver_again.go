package activities

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// pickDelivery returns the delivery that in is about, filled with what identifies it, and
// whether it is in the ledger already.
func pickDelivery(all []ledger.Delivery, in contract.DeliverInput) (ledger.Delivery, bool) {
	d, found := ledger.Delivery{}, false
	effect := ""
	if in.Replay != 0 {
		effect = contract.ReplayEffect(in.Replay)
	}
	for _, one := range all {
		if one.Effect == effect {
			d, found = one, true
		}
	}

	d.EmailID, d.Destination, d.Effect = in.Email.ID, in.Destination, effect
	d.IdempotencyKey = contract.IdempotencyKey(in.Email.WorkflowID, in.Destination)
	if in.NewEffect {
		d.IdempotencyKey = contract.EffectKey(in.Email.WorkflowID, in.Destination, effect)
	}
	return d, found
}

const (
	sameSentence = "nothing was sent: the destination has had the same content before"
	onceSentence = "nothing was sent: the destination has had the email, and honours no idempotency key"
)

// earlier is what became of the other deliveries of an email to the same destination.
type earlier struct {
	delivered *ledger.Delivery // the last of them; nil: the destination has not had the email
	unknown   bool             // it is not known whether one of them had an effect
}

func earlierOf(all []ledger.Delivery, effect string) earlier {
	var e earlier
	for i, one := range all {
		switch {
		case one.Effect == effect:
		case one.State == ledger.Delivered && (e.delivered == nil || !one.DeliveredAt.Before(e.delivered.DeliveredAt)):
			e.delivered = &all[i]
		case one.State == ledger.Attempting || one.State == ledger.Ambiguous:
			e.unknown = true
		}
	}
	return e
}

// skipRepeat reports whether a replay has nothing to send here, and saves that. Where the
// destination honours no idempotency key, a second call would be a second effect: it is
// skipped if the destination has had the email, and left to a person if that is not known.
// Elsewhere it is skipped if the content is what was delivered last.
func (s *Deliver) skipRepeat(ctx context.Context, in contract.DeliverInput, d *ledger.Delivery, all []ledger.Delivery) (bool, error) {
	before := earlierOf(all, d.Effect)
	if !s.deps.Sender.HonoursKey(d.Destination) {
		switch {
		case before.delivered != nil:
			return true, s.saveSkipped(ctx, d, onceSentence)
		case before.unknown && !in.Again:
			return false, fault.New(fault.AmbiguousEffect, ambiguousSentence)
		}
		return false, nil
	}

	if before.delivered == nil || before.delivered.ContentSHA256 == nil {
		return false, nil
	}
	_, sum, release, err := s.body(ctx, in, d.IdempotencyKey)
	if err != nil {
		return false, err
	}
	release()
	if !bytes.Equal(sum, before.delivered.ContentSHA256) {
		return false, nil
	}
	d.ContentSHA256 = sum
	return true, s.saveSkipped(ctx, d, sameSentence)
}

func (s *Deliver) saveSkipped(ctx context.Context, d *ledger.Delivery, why string) error {
	d.State, d.LastError, d.NextAttemptAt = ledger.Skipped, why, time.Time{}
	if err := s.deps.Ledger.SaveDelivery(ctx, *d); err != nil {
		return fmt.Errorf("save skipped delivery: %w", err)
	}
	return nil
}
