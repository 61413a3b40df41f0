package activities_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// said is what a provider said beside a mail.
func said() mail.Reported {
	return mail.Reported{
		Auth: mail.Auth{SPF: "fail", DKIM: "none", DMARC: "pass"}, Type: "email.received",
		Timestamp: time.Date(2026, 11, 2, 9, 15, 0, 0, time.UTC), Mailbox: "support@y.example",
	}
}

// TestStoreKeepsWhatTheSenderSaid: it was read, checked and dropped.
func TestStoreKeepsWhatTheSenderSaid(t *testing.T) {
	t.Parallel()
	r := said()
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		return &mail.Event{Auth: r.Auth, Type: r.Type, Timestamp: r.Timestamp, Mailbox: r.Mailbox}, nil
	}, activities.StoreConfig{})
	_, err := b.run(t, rawBody)
	require.NoError(t, err)
	require.Equal(t, r, b.books.manifest.Reported)

	long := strings.Repeat("ü", 1<<20)
	b = setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		return &mail.Event{Auth: mail.Auth{SPF: long, DKIM: long, DMARC: long}, Type: long, Mailbox: long}, nil
	}, activities.StoreConfig{})
	_, err = b.run(t, rawBody)
	require.NoError(t, err)
	encoded, err := json.Marshal(b.books.manifest.Reported)
	require.NoError(t, err)
	require.Less(t, len(encoded), 2<<10)
	require.Len(t, b.books.manifest.Reported.Auth.SPF, 64)
	require.Len(t, b.books.manifest.Reported.Type, 200)
}

// TestDeliverPassesOnWhatTheSenderSaid: marked as reported, beside the mail.
func TestDeliverPassesOnWhatTheSenderSaid(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.books.manifest.Reported, b.books.manifest.PossibleDuplicateOf = said(), "evt-0"
	_, err := b.run(t.Context())
	require.NoError(t, err)
	document := requireSchema(t, b.wire.bodies[0])
	require.Equal(t, map[string]any{
		"auth": map[string]any{"spf": "fail", "dkim": "none", "dmarc": "pass"}, "type": "email.received",
		"timestamp": "2026-11-02T09:15:00Z", "mailbox": "support@y.example",
	}, document["reported"])
	require.Equal(t, "evt-0", document["possible_duplicate_of"])
	require.Equal(t, contract.LoopMark(email(0)), document["loop_mark"])

	b = setupDeliver(t, answers(200, nil))
	_, err = b.run(t.Context())
	require.NoError(t, err)
	document = requireSchema(t, b.wire.bodies[0])
	require.NotContains(t, document, "reported")
	require.NotContains(t, document, "possible_duplicate_of")
}

// TestReplaySkipsWhatIsReportedAnew: what a provider said and what may be a duplicate are
// no content. An email that was delivered before they were kept is not sent again.
func TestReplaySkipsWhatIsReportedAnew(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	b.books.manifest.Reported, b.books.manifest.PossibleDuplicateOf = said(), "evt-0"
	out, err := b.run(t.Context(), replayOf(3))
	require.NoError(t, err)
	require.True(t, out.Skipped)
	require.Equal(t, ledger.Skipped, b.books.deliveries["ticketing#replay-3"].State)
	// The hash of a delivery that was made before there was a loop mark.
	require.Equal(t, b.row().ContentSHA256, b.books.deliveries["ticketing#replay-3"].ContentSHA256)
}
