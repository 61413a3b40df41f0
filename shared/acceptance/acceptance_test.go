package acceptance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
)

// policy holds mail to strangers and keeps what is not JSON.
type policy struct{ keeps bool }

func (policy) Hold(recipients []string) *contract.Hold {
	if recipients[0] == "own@yourapp.example" {
		return nil
	}
	return &contract.Hold{Reason: contract.RecipientForeign}
}

func (p policy) Keeps(code fault.Code) bool { return p.keeps && code == fault.JSONMalformed }

func eventOf(body string) Event {
	return Event{
		Source: "mailparse", Tenant: "default", CorrelationID: "c", Policy: policy{keeps: true},
		Body: strings.NewReader(body), BodySHA256: sha256.Sum256([]byte(body)), Size: int64(len(body)),
		ReceivedAt: time.UnixMilli(1_700_000_000_000), Verified: contract.Verified{Scheme: "basic", Key: 1},
	}
}

func TestRowOfAnEvent(t *testing.T) {
	t.Parallel()
	body := `{"event_id":"evt_1","recipient":["own@yourapp.example"],"x":1}`
	row, found, err := New(eventOf(body))
	require.NoError(t, err)
	require.Equal(t, Findings{Unknown: 1}, found)
	require.Equal(t, postgres.Acceptance{
		Source: "mailparse", EventID: "evt_1", WorkflowID: contract.WorkflowID("mailparse", "evt_1"), Tenant: "default", CorrelationID: "c",
		BodySHA256: sha256.Sum256([]byte(body)), Size: int64(len(body)), ReceivedAt: time.UnixMilli(1_700_000_000_000),
		Verified: contract.Verified{Scheme: "basic", Key: 1},
	}, row)

	row, _, err = New(eventOf(`{"event_id":"evt_2","recipient":["other@example.net"]}`))
	require.NoError(t, err)
	require.Equal(t, contract.RecipientForeign, row.Hold.Reason)

	strict := eventOf(body)
	strict.Strict = true
	_, _, err = New(strict)
	require.True(t, fault.Is(err, fault.FieldUnknown), "%v", err)
}

// TestEventThatCannotBeRead is named after its body, so that a repeat is one, unless its
// source has it sent again.
func TestEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	body := `{"event_id":"evt_1"`
	row, found, err := New(eventOf(body))
	require.NoError(t, err)
	require.Equal(t, fault.JSONMalformed, found.Held)
	sum := sha256.Sum256([]byte(body))
	require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), row.EventID)
	require.Equal(t, contract.SchemaInvalid, row.Hold.Reason)

	refusing := eventOf(body)
	refusing.Policy = policy{}
	_, _, err = New(refusing)
	require.True(t, fault.Is(err, fault.JSONMalformed), "%v", err)
}

func goodRow() postgres.Acceptance {
	return postgres.Acceptance{Source: "s", EventID: "e", WorkflowID: "w", Body: []byte("{}"), BodySHA256: [32]byte{1}, Size: 2}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, Check(goodRow()))
	for name, change := range map[string]func(*postgres.Acceptance){
		"no source":      func(a *postgres.Acceptance) { a.Source = "" },
		"no event":       func(a *postgres.Acceptance) { a.EventID = "" },
		"no workflow":    func(a *postgres.Acceptance) { a.WorkflowID = "" },
		"two bodies":     func(a *postgres.Acceptance) { a.BodyKey = "event/1" },
		"a body too big": func(a *postgres.Acceptance) { a.Body = make([]byte, contract.MaxFallbackBody+1) },
	} {
		row := goodRow()
		change(&row)
		require.True(t, fault.Is(Check(row), fault.Internal), name)
	}
}

// rows is a ledger that answers for some of them.
type rows struct{ answers int }

func (r rows) Accept(context.Context, []postgres.Acceptance, time.Duration) ([]postgres.Accepted, error) {
	return make([]postgres.Accepted, r.answers), nil
}

func TestInsertChecksRowsAndAnswers(t *testing.T) {
	t.Parallel()
	batch := []postgres.Acceptance{goodRow(), goodRow()}
	accepted, err := Insert(t.Context(), rows{answers: 2}, batch, time.Second)
	require.NoError(t, err)
	require.Len(t, accepted, 2)
	_, err = Insert(t.Context(), rows{answers: 1}, batch, time.Second)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)
	batch[1].EventID = ""
	_, err = Insert(t.Context(), rows{answers: 2}, batch, time.Second)
	require.ErrorContains(t, err, "names no event")
}

func TestInputOfTheFallback(t *testing.T) {
	t.Parallel()
	keys, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{{ID: "k", Key: config.NewSecret(strings.Repeat("0a", seal.KeySize))}}})
	require.NoError(t, err)
	row := goodRow()
	in, err := FallbackInput(row, keys)
	require.NoError(t, err)
	require.Equal(t, contract.Email{WorkflowID: "w", Source: "s", EventID: "e", Size: 2}, in.Email)
	plain, err := keys.Open(*in.Fallback.Body, contract.MaxFallbackBody)
	require.NoError(t, err)
	require.Equal(t, "{}", string(plain))
	require.Equal(t, contract.ConflictWorkflowID("s", "e", row.BodySHA256), AsConflict(in).Email.WorkflowID)
	require.Equal(t, "w", in.Email.WorkflowID, "the first input is unchanged")

	row.Body, row.BodyKey = nil, "event/1"
	in, err = FallbackInput(row, keys)
	require.NoError(t, err)
	require.Nil(t, in.Fallback.Body)
	require.Equal(t, "event/1", in.Fallback.BodyKey)
	row.Source = ""
	_, err = FallbackInput(row, keys)
	require.Error(t, err)
}
