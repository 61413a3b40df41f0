package acceptance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/payload"
	"mailroom/shared/postgres"
)

// Policy is what the configuration says about the events of a source.
type Policy interface {
	// Hold returns why mail to these recipients needs a person first, nil if it does not.
	Hold(recipients []string) *contract.Hold
	// Keeps reports whether an event that failed with code is accepted and held.
	Keeps(code fault.Code) bool
}

// Event is an authentic event whose body has not been looked into.
type Event struct {
	Source, Tenant, CorrelationID string

	Strict     bool // refuse fields that the payload's shape does not name
	Policy     Policy
	Body       io.Reader // the whole body, decoded
	BodySHA256 [32]byte
	Size       int64
	ReceivedAt time.Time
	Verified   contract.Verified
}

// Findings are what New found in a body beside what goes into the row.
type Findings struct {
	Unknown int        // fields that the shape does not name
	Held    fault.Code // why the event was accepted to be held, empty if it can be read
}

// New returns the row of an event, without its body. An event that cannot be read is an
// error or, if its source keeps such events, a row of its own that is held.
func New(e Event) (postgres.Acceptance, Findings, error) {
	row := postgres.Acceptance{
		Source: e.Source, Tenant: e.Tenant, CorrelationID: e.CorrelationID,
		BodySHA256: e.BodySHA256, Size: e.Size, ReceivedAt: e.ReceivedAt, Verified: e.Verified,
	}
	var found Findings

	head, err := payload.Peek(e.Body, payload.Options{Strict: e.Strict})
	switch {
	case err == nil:
		found.Unknown = head.Unknown
		if head.Breaches > 0 { // the store step reads it again and holds it
			found.Held = fault.FieldInvalid
		}
		row.EventID, row.Hold = head.ID, e.Policy.Hold(head.Recipients)

	case e.Policy.Keeps(fault.From(err).Code):
		found.Held = fault.From(err).Code
		row.EventID = "sha256:" + hex.EncodeToString(e.BodySHA256[:])
		row.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "the event cannot be read: " + payload.Nameless(err)}

	default:
		return postgres.Acceptance{}, found, err
	}

	row.WorkflowID = contract.WorkflowID(e.Source, row.EventID)
	return row, found, nil
}

// Check returns an error if a row names no event, has two bodies, or one that is too large
// to be kept outside the object store. It finds faults of the program, not of senders.
func Check(row postgres.Acceptance) error {
	var problem string
	switch {
	case row.Source == "" || row.EventID == "" || row.WorkflowID == "":
		problem = "it names no event"
	case len(row.Body) > 0 && row.BodyKey != "":
		problem = "it has both a body and the key of one"
	case len(row.Body) > contract.MaxFallbackBody:
		problem = fmt.Sprintf("its body of %d bytes belongs into the object store", len(row.Body))
	default:
		return nil
	}
	return fault.Wrap(fault.Internal, "the event could not be stored", errors.New("check acceptance: "+problem))
}

// Ledger inserts rows: all of a batch or none, and answers in the order of the batch.
type Ledger interface {
	Accept(ctx context.Context, batch []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error)
}

// Insert checks rows and inserts them in one commit. It returns one answer per row, in
// order; on an error none may be relied upon, and a repeat finds out. Rows with Claim are
// left alone by sweeps until lease has passed.
func Insert(ctx context.Context, ledger Ledger, rows []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error) {
	for _, row := range rows {
		if err := Check(row); err != nil {
			return nil, err
		}
	}

	accepted, err := ledger.Accept(ctx, rows, lease)
	if err != nil {
		return nil, err
	}
	if len(accepted) != len(rows) {
		return nil, fault.Wrap(fault.Internal, "the event could not be stored",
			fmt.Errorf("insert %d rows: %d answers", len(rows), len(accepted)))
	}
	return accepted, nil
}
