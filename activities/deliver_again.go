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

// pick gives the delivery that in is about, filled with what identifies it, and
// whether it is in the ledger already.
func pick(all []ledger.Delivery, in contract.DeliverInput) (ledger.Delivery, bool) {
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

// skip decides whether a replay has nothing to send here, and writes that down: the
// content is what was delivered last, or the destination has had the email and a
// second call would be a second effect. What an earlier delivery left unknown there
// stays for a person to decide.
func (s *Deliver) skip(ctx context.Context, in contract.DeliverInput, d *ledger.Delivery, all []ledger.Delivery) (bool, error) {
	var last *ledger.Delivery
	unknown := false
	for i, one := range all {
		switch {
		case one.Effect == d.Effect:
		case one.State == ledger.Delivered && (last == nil || !one.DeliveredAt.Before(last.DeliveredAt)):
			last = &all[i]
		case one.State == ledger.Attempting || one.State == ledger.Ambiguous:
			unknown = true
		}
	}
	careful := !s.deps.Sender.HonoursKey(d.Destination)
	switch {
	case careful && last != nil:
		return true, s.skipped(ctx, d, onceSentence)
	case careful && unknown && !in.Again:
		return false, fault.New(fault.AmbiguousEffect, ambiguousSentence)
	case last == nil || last.ContentSHA256 == nil:
		return false, nil
	}
	_, sum, release, err := s.body(ctx, in, d.IdempotencyKey)
	if err != nil {
		return false, err
	}
	release()
	if !bytes.Equal(sum, last.ContentSHA256) {
		return false, nil
	}
	d.ContentSHA256 = sum
	return true, s.skipped(ctx, d, sameSentence)
}

func (s *Deliver) skipped(ctx context.Context, d *ledger.Delivery, why string) error {
	d.State, d.LastError, d.NextAttemptAt = ledger.Skipped, why, time.Time{}
	if err := s.deps.Ledger.SaveDelivery(ctx, *d); err != nil {
		return fmt.Errorf("save skipped delivery: %w", err)
	}
	return nil
}
