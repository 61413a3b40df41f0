package activities_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/inspection"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
)

// inspected is one mail in front of Inspect, with everything around it in memory.
type inspected struct {
	manifest *ledger.Manifest
	message  mail.Message
	content  map[string][]byte // by SHA-256
	mails    map[string][]byte // raw mails by key
	saved    []mail.Attachment
	saves    int
	mu       sync.Mutex
	scans    [][]byte
	scanner  activities.Scanner
	scanErr  error
	examiner activities.Examiner
}

func newInspected(t testing.TB) *inspected {
	t.Helper()
	scanner := inspection.NewBuiltIn(inspection.Limits{})
	examiner, err := inspection.New(inspection.Config{MaxSize: 1 << 20})
	require.NoError(t, err)
	return &inspected{
		manifest: &ledger.Manifest{EmailID: 7}, content: map[string][]byte{}, mails: map[string][]byte{},
		scanner: scanner, examiner: examiner,
	}
}

func (m *inspected) attach(content []byte, change ...func(*mail.Attachment)) {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	m.content[hash] = content
	a := mail.Attachment{
		Filename: "canary.txt", DeclaredSize: -1, Key: hash[:2] + "/" + hash, SHA256: hash, Size: int64(len(content)),
	}
	for _, c := range change {
		c(&a)
	}
	m.manifest.Attachments = append(m.manifest.Attachments, a)
}

func (m *inspected) Manifest(_ context.Context, id int64) (*ledger.Manifest, error) {
	if id != m.manifest.EmailID {
		return nil, fault.New(fault.NotFound, "no such email")
	}
	return m.manifest, nil
}

func (m *inspected) SaveVerdicts(_ context.Context, _ int64, attachments []mail.Attachment) error {
	m.saved, m.saves = attachments, m.saves+1
	return nil
}

func (m *inspected) Attachment(_ context.Context, a mail.Attachment, most int64) ([]byte, error) {
	content, ok := m.content[a.SHA256]
	if !ok || int64(len(content)) > most {
		return nil, fault.New(fault.ContentLost, "not there")
	}
	return content, nil
}

func (m *inspected) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	return &m.message, nil
}

func (m *inspected) Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", "", err
	}
	m.mu.Lock()
	m.scans = append(m.scans, content)
	m.mu.Unlock()
	if m.scanErr != nil {
		return "", "", m.scanErr
	}
	return m.scanner.Scan(ctx, bytes.NewReader(content))
}

func (*inspected) Using(context.Context) (string, string) { return "ClamAV 1.0.7", "27500" }

func (m *inspected) inspect(t testing.TB) (contract.InspectResult, error) {
	t.Helper()
	s, err := activities.NewInspect(activities.InspectDeps{Ledger: m, Content: m, Messages: m, Mail: m, Examiner: m.examiner, Scanner: m, Now: noon})
	require.NoError(t, err)
	return s.Inspect(t.Context(), contract.InspectInput{Email: contract.Email{ID: m.manifest.EmailID}})
}

func noon() time.Time { return time.UnixMilli(1_790_000_000_000) }

// What a mail was inspected with is told; where there was nothing to scan, no scanner
// claims that a scanner has looked.
func TestInspectTellsWhatItUsed(t *testing.T) {
	t.Parallel()
	at := noon().UnixMilli()
	m := newInspected(t)
	got, err := m.inspect(t)
	require.NoError(t, err)
	content := got.Inspected.Content
	require.Len(t, content, 64)
	require.Equal(t, contract.Inspected{AtUnixMilli: at, RawView: contract.RawAbsent, Content: content}, got.Inspected)
	m.message.Text = "text"
	got, err = m.inspect(t)
	require.NoError(t, err)
	want := contract.Inspected{Scanner: "ClamAV 1.0.7", Database: "27500", AtUnixMilli: at, RawView: contract.RawAbsent, Content: content}
	require.Equal(t, want, got.Inspected)
	m = newInspected(t)
	m.attach([]byte("minutes"))
	got, err = m.inspect(t)
	require.NoError(t, err)
	require.NotEqual(t, content, got.Inspected.Content)
	want.Content = got.Inspected.Content
	require.Equal(t, want, got.Inspected)
}

func TestInspectGivesEveryAttachmentAVerdict(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.message = mail.Message{Text: "see attached", HTML: "<p>see attached</p>"}
	zipped := scantest.Zip(t, scantest.File{Name: "canary.com", Content: scantest.EICAR()})
	m.attach([]byte("minutes"))
	m.attach(zipped)
	m.attach([]byte("#!/bin/sh\nrm -rf /\n"), func(a *mail.Attachment) { a.ContentType = "image/png" })
	m.attach(scantest.Zip(t, scantest.File{Name: "x", Content: []byte("x")})[:60])
	m.attach(nil)
	m.attach(nil, func(a *mail.Attachment) { a.Key = "" })
	m.attach(nil, func(a *mail.Attachment) { a.Key, a.SHA256, a.URL = "", "", "https://files.example/1" })

	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, 1, m.saves)
	var verdicts []mail.Verdict
	for _, a := range m.saved {
		verdicts = append(verdicts, a.Verdict)
		require.Nil(t, a.Content)
	}
	require.Equal(t, []mail.Verdict{
		mail.Clean, mail.Infected, mail.Suspicious, mail.Unscannable, mail.Clean, mail.Clean, mail.Unscannable,
	}, verdicts)
	require.Equal(t, map[mail.Verdict]int{mail.Clean: 3, mail.Infected: 1, mail.Suspicious: 1, mail.Unscannable: 2}, got.Verdicts)
	require.Equal(t, []contract.Hold{
		{Reason: contract.Infected, Detail: "attachment 2 of 7 is infected: Eicar-Test-Signature"},
		{Reason: contract.AttachmentMismatch, Detail: "attachment 3 of 7 was declared as image/png and is text/x-shellscript"},
		{Reason: contract.Unscannable, Detail: "attachment 4 of 7 is a damaged archive"},
	}, got.Holds)
	require.Equal(t, "Eicar-Test-Signature", m.saved[1].Signature)
	require.Equal(t, "application/zip", m.saved[1].DetectedType)
	require.Equal(t, "no content", m.saved[6].Signature)
	require.NotContains(t, fmt.Sprint(got), "canary")
	for i, a := range m.manifest.Attachments {
		require.Empty(t, a.Verdict, "the manifest is not written to: %d", i)
	}
}

func TestInspectHoldsOncePerReason(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	for i := range 5 {
		m.attach(append([]byte{byte('0' + i)}, scantest.EICAR()...))
	}
	m.message.Text = string(scantest.EICAR())
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{
		{Reason: contract.Infected, Detail: "attachment 1 of 5 is infected: Eicar-Test-Signature (and 5 more)"},
	}, got.Holds)
}

func TestInspectScansTheText(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]mail.Message{
		"text": {Text: "before " + string(scantest.EICAR()), HTML: "<p>fine</p>"},
		"html": {Text: "fine", HTML: "<p>" + string(scantest.EICAR()) + "</p>"},
	} {
		m := newInspected(t)
		m.message = message
		got, err := m.inspect(t)
		require.NoError(t, err)
		require.Len(t, m.scans, 1, name)
		require.Equal(t, []contract.Hold{{
			Reason: contract.Infected, Detail: "the text of the mail is infected: Eicar-Test-Signature",
		}}, got.Holds, name)
		require.Empty(t, got.Verdicts)
	}
	m := newInspected(t)
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Empty(t, got.Holds)
	require.Empty(t, m.scans, "there is nothing to scan")
	require.Equal(t, 1, m.saves)
}

func TestInspectScansTheSameBytesOnce(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach(scantest.EICAR())
	m.attach([]byte("other"))
	m.attach(scantest.EICAR(), func(a *mail.Attachment) { a.ContentType = "text/plain" })
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Len(t, m.scans, 2)
	require.Equal(t, 2, got.Verdicts[mail.Infected])
	require.Equal(t, 1, got.Verdicts[mail.Clean])
}

// P6: an unavailable scanner is never a verdict.
func TestInspectWaitsForTheScanner(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(m *inspected){
		"attachment": func(m *inspected) { m.attach([]byte("x")) },
		"text":       func(m *inspected) { m.message.Text = "x" },
	} {
		m := newInspected(t)
		prepare(m)
		m.scanErr = fault.New(fault.ScannerUnavailable, "away")
		got, err := m.inspect(t)
		require.Error(t, err, name)
		require.ErrorContains(t, err, string(fault.ScannerUnavailable))
		require.Empty(t, got.Holds)
		require.Zero(t, m.saves)

		m.scanErr = nil
		got, err = m.inspect(t)
		require.NoError(t, err)
		require.Empty(t, got.Holds)
		require.Equal(t, 1, m.saves)
	}
}

type says struct {
	verdict   mail.Verdict
	signature string
}

func (s says) Scan(context.Context, io.Reader) (mail.Verdict, string, error) {
	return s.verdict, s.signature, nil
}

func (says) Using(context.Context) (string, string) { return "", "" }

func TestInspectTakesNothingForClean(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[mail.Verdict]contract.Reason{
		mail.Infected:    contract.Infected,
		mail.Suspicious:  contract.Infected,
		mail.Unscannable: contract.Unscannable,
		"":               contract.Unscannable,
		"fine":           contract.Unscannable,
	} {
		m := newInspected(t)
		m.attach([]byte("x"))
		m.scanner = says{verdict, "why"}
		got, err := m.inspect(t)
		require.NoError(t, err)
		require.Len(t, got.Holds, 1)
		require.Equal(t, want, got.Holds[0].Reason, verdict)
		require.Contains(t, got.Holds[0].Detail, "why")
		require.NotEqual(t, mail.Clean, m.saved[0].Verdict)
	}
}

func TestInspectBounds(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach(make([]byte, 1<<20+1))
	m.attach([]byte("x"), func(a *mail.Attachment) { a.Size = 1 << 40 }) // never read
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{{
		Reason: contract.TooLarge, Detail: "attachment 1 of 2 has 1048577 bytes, more than the 1048576 allowed (and 1 more)",
	}}, got.Holds)
	require.Equal(t, mail.Clean, m.saved[0].Verdict, "too large for the policy, not for the scanner")
	require.Equal(t, mail.Unscannable, m.saved[1].Verdict)

	m = newInspected(t)
	for i := range 1001 {
		m.attach(fmt.Append(nil, i))
	}
	got, err = m.inspect(t)
	require.NoError(t, err)
	require.Len(t, m.scans, 1000)
	require.Equal(t, 1, got.Verdicts[mail.Unscannable])
	require.Equal(t, contract.TooLarge, got.Holds[0].Reason)
}

// An archive beyond the limits does not get to use up the scanner as well.
func TestInspectSparesTheScannerABomb(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach(scantest.Gzip(t, make([]byte, 20<<20)))
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Empty(t, m.scans)
	require.Equal(t, mail.Unscannable, m.saved[0].Verdict)
	require.Equal(t, contract.Unscannable, got.Holds[0].Reason)
}

func TestInspectRefusesOtherBytes(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach([]byte("x"), func(a *mail.Attachment) { a.Size = 2 })
	_, err := m.inspect(t)
	require.ErrorContains(t, err, string(fault.ContentLost))
	require.Zero(t, m.saves)

	m = newInspected(t)
	m.attach([]byte("x"))
	clear(m.content)
	_, err = m.inspect(t)
	require.ErrorContains(t, err, string(fault.ContentLost))
}

type crashes struct{}

func (crashes) Begin() func(context.Context, mail.Attachment) (mail.Attachment, [][]byte, []contract.Hold, error) {
	panic("canary")
}

func TestInspectSurvivesACrash(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach([]byte("x"))
	m.examiner = crashes{}
	_, err := m.inspect(t)
	require.ErrorContains(t, err, string(fault.Internal))
	require.NotContains(t, err.Error(), "canary")
}

// literal is a scanner that looks into nothing.
type literal struct{}

func (literal) Using(context.Context) (string, string) { return "", "" }

func (literal) Scan(_ context.Context, r io.Reader) (mail.Verdict, string, error) {
	content, err := io.ReadAll(r)
	if bytes.Contains(content, scantest.EICAR()) {
		return mail.Infected, "Eicar", err
	}
	return mail.Clean, "", err
}

// The parts of an attached message are scanned one by one, because a scanner may
// not take it for a message.
func TestInspectScansThePartsOfAnAttachedMessage(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.scanner = literal{}
	hidden := fmt.Appendf(nil, "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(scantest.EICAR()))
	m.attach(append([]byte("X-A: b\r\n"), hidden...)) // a text by name and beginning
	m.attach(append([]byte("X-A: b\r\n"), hidden...), func(a *mail.Attachment) { a.ContentType = "message/rfc822" })
	m.attach(hidden)
	m.attach(hidden)
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, 3, got.Verdicts[mail.Infected])
	require.Len(t, m.scans, 3, "the part of both is the same")
	require.Equal(t, []contract.Hold{{Reason: contract.Infected, Detail: "attachment 2 of 4 is infected: Eicar (and 2 more)"}}, got.Holds)
}

func TestNewInspectRefuses(t *testing.T) {
	t.Parallel()
	_, err := activities.NewInspect(activities.InspectDeps{})
	require.Error(t, err)
	_, err = activities.NewRoute(activities.RouteDeps{})
	require.Error(t, err)
}

// What a mail is held for is listed with malware first: people choose mail by the first
// reason, and let it go with the others.
func TestMalwareIsTheFirstReasonOfAMail(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.attach([]byte("#!/bin/sh\nrm -rf /\n"), func(a *mail.Attachment) { a.ContentType = "image/png" })
	m.attach(scantest.EICAR())

	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, []contract.Reason{contract.Infected, contract.AttachmentMismatch}, contract.ReasonsOf(got.Holds))
}
