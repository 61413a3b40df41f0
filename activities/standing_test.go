package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// TestNothingLeavesPastTheLedger: whatever a workflow believes, and however it came to
// run, a delivery sends nothing that was not inspected as it is now, and nothing that
// the ledger holds.
func TestNothingLeavesPastTheLedger(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*deliverBench, *contract.DeliverInput){
		"never inspected": func(_ *deliverBench, in *contract.DeliverInput) { in.Inspected = "" },
		"another attachment": func(b *deliverBench, _ *contract.DeliverInput) {
			b.books.manifest.Attachments[0].Key, b.books.manifest.Attachments[0].SHA256 = "cc/x", hexOf([]byte("y"))
		},
		"one attachment more": func(b *deliverBench, _ *contract.DeliverInput) {
			b.books.manifest.Attachments = append(b.books.manifest.Attachments, mail.Attachment{Filename: "d"})
		},
		"another text": func(b *deliverBench, _ *contract.DeliverInput) {
			b.books.manifest.Message = []byte(`{"text":"other"}`)
		},
		"held": func(b *deliverBench, _ *contract.DeliverInput) {
			b.books.manifest.Open = []contract.Finding{{Step: contract.StepStore, Reason: contract.IDConflict, State: contract.FindingOpen}}
		},
		"to be inspected again": func(b *deliverBench, _ *contract.DeliverInput) {
			b.books.manifest.Open = []contract.Finding{{Step: contract.StepInspect, Reason: contract.Infected, State: contract.FindingRepeat}}
		},
	} {
		for _, replay := range []int64{0, 4} {
			b := setupDeliver(t, answers(200, nil))
			b.books.deliveries = map[string]ledger.Delivery{}
			if replay != 0 { // what was delivered before is compared by its content
				b.books.deliveries["ticketing"] = ledger.Delivery{
					Destination: "ticketing", State: ledger.Delivered, ContentSHA256: []byte("x"),
				}
			}
			_, err := b.run(t.Context(), func(in *contract.DeliverInput) {
				in.Replay, in.Released = replay, true
				change(b, in)
			})
			requireCode(t, err, fault.NotReleased, false)
			require.Empty(t, b.wire.bodies, name)
			require.Empty(t, b.books.saved, name)
		}
	}
	b := setupDeliver(t, answers(200, nil))
	_, err := b.run(t.Context())
	require.NoError(t, err)
	require.Len(t, b.wire.bodies, 1)
	require.Equal(t, 2, b.books.reads, "that nothing is open is read with the rest")
	require.Len(t, b.books.saved, 1)
}

// TestWhatWasJudged: verdicts and what an edit changes beside the content make no other
// mail; what an edit drops does, and what it leaves is enough.
func TestWhatWasJudged(t *testing.T) {
	t.Parallel()
	m := *setupDeliver(t).books.manifest
	sum := edit.Judged(&m)
	m.Overlay = &contract.Edit{To: []string{"crm"}, Recipients: []string{"a@b.example"}}
	m.Attachments = append([]mail.Attachment{}, m.Attachments...)
	m.Attachments[0].Verdict, m.Attachments[0].DetectedType = mail.Infected, "x/y"
	require.Equal(t, sum, edit.Judged(&m))
	m.Overlay.Drop = []string{m.Attachments[0].SHA256}
	require.NotEqual(t, sum, edit.Judged(&m))
	moved := m
	moved.Overlay, moved.Attachments = nil, append([]mail.Attachment{}, edit.Kept(m.Attachments, *m.Overlay)...)
	require.Equal(t, edit.Judged(&m), edit.Judged(&moved))
}

// TestStandingBeginsAtWhatIsNotPassed lists what an email may have come to.
func TestStandingBeginsAtWhatIsNotPassed(t *testing.T) {
	t.Parallel()
	manifest := setupDeliver(t).books.manifest
	content := edit.Judged(manifest)
	known := contract.Inspected{AtUnixMilli: 5, Content: content}
	found := func(at contract.Step, s contract.FindingState) []contract.Finding {
		return []contract.Finding{{Step: at, Reason: contract.MIMEMalformed, State: s}}
	}
	for name, c := range map[string]struct {
		standing ledger.Standing
		from     contract.Step
	}{
		"nothing is stored":               {ledger.Standing{Inspected: known}, contract.StepStore},
		"never inspected":                 {ledger.Standing{Stored: true}, contract.StepInspect},
		"inspected by an older release":   {ledger.Standing{Stored: true, Inspected: contract.Inspected{AtUnixMilli: 5}}, contract.StepInspect},
		"something else was inspected":    {ledger.Standing{Stored: true, Inspected: contract.Inspected{AtUnixMilli: 5, Content: "x"}}, contract.StepInspect},
		"inspected":                       {ledger.Standing{Stored: true, Inspected: known}, contract.StepRoute},
		"held by the ingress":             {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepStore, contract.FindingOpen)}, contract.StepStore},
		"what was read is approved":       {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepStore, contract.FindingApproved)}, contract.StepRoute},
		"held by inspection":              {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepInspect, contract.FindingOpen)}, contract.StepInspect},
		"inspection is to be repeated":    {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepInspect, contract.FindingRepeat)}, contract.StepInspect},
		"what inspection found is passed": {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepInspect, contract.FindingPassed)}, contract.StepRoute},
		"held by routing":                 {ledger.Standing{Stored: true, Inspected: known, Findings: found(contract.StepRoute, contract.FindingOpen)}, contract.StepRoute},
	} {
		w := &holdWorld{standing: c.standing, manifest: manifest}
		h, err := activities.NewStanding(activities.StandingDeps{Intents: w, Emails: w})
		require.NoError(t, err)
		got, err := h.LoadStanding(t.Context(), contract.StandingInput{Email: email(1)})
		require.NoError(t, err)
		require.Equal(t, c.from, got.From, name)
		require.Equal(t, c.standing.Findings, got.Findings)
		require.Equal(t, c.from == contract.StepRoute, got.Inspected == known, name)
	}
}
