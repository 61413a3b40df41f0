package acceptance

import (
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/postgres"
)

// Sealer makes content fit for Temporal: compressed, and encrypted if a key is configured.
type Sealer interface {
	Seal(plain []byte) (contract.Sealed, error)
}

// Input returns the input of the workflow of a row that the ledger has.
func Input(row postgres.Waiting) contract.InboundEmailInput {
	return contract.InboundEmailInput{
		Email: row.Email, ReceivedAtUnixMilli: row.ReceivedAt.UnixMilli(), Hold: row.Hold,
	}
}

// FallbackInput returns the input of the workflow of a row that the ledger does not have
// yet: with the body, sealed, or the key of one.
func FallbackInput(row postgres.Acceptance, sealer Sealer) (contract.InboundEmailInput, error) {
	if err := Check(row); err != nil {
		return contract.InboundEmailInput{}, err
	}

	event := contract.FallbackEvent{BodySHA256: row.BodySHA256, BodyKey: row.BodyKey, Verified: row.Verified}
	if row.BodyKey == "" {
		sealed, err := sealer.Seal(row.Body)
		if err != nil {
			return contract.InboundEmailInput{}, fmt.Errorf("seal event: %w", err)
		}
		event.Body = &sealed
	}

	return contract.InboundEmailInput{
		Email: contract.Email{
			WorkflowID: row.WorkflowID, Source: row.Source, EventID: row.EventID,
			Tenant: row.Tenant, CorrelationID: row.CorrelationID, Size: row.Size,
		},
		ReceivedAtUnixMilli: row.ReceivedAt.UnixMilli(), Hold: row.Hold, Fallback: &event,
	}, nil
}

// AsConflict returns the input of an event whose id was taken by one with another body.
func AsConflict(in contract.InboundEmailInput) contract.InboundEmailInput {
	in.Email.WorkflowID = contract.ConflictWorkflowID(in.Email.Source, in.Email.EventID, in.Fallback.BodySHA256)
	return in
}

// Answer returns what Temporal has accepted in place of the ledger.
func Answer(in contract.InboundEmailInput, outcome postgres.Outcome) postgres.Accepted {
	return postgres.Accepted{Outcome: outcome, Row: postgres.Waiting{Email: in.Email, Hold: in.Hold}}
}
