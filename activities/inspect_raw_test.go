package activities_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/clamav"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
	"mailroom/shared/testenv"
)

// OpenMail implements activities.MailOpener.
func (m *inspected) OpenMail(_ context.Context, key string) (io.ReadCloser, error) {
	content, ok := m.mails[key]
	if !ok {
		return nil, fault.New(fault.ContentLost, "not there")
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// raw makes content the raw mail.
func (m *inspected) raw(content []byte) {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	m.manifest.MIMEKey = "mime/" + hash[:2] + "/" + hash
	m.mails[m.manifest.MIMEKey] = content
}

// holding is a mail that holds an EICAR file in plain sight.
func holding(content []byte) []byte {
	return append([]byte("From: a@x.example\r\nTo: b@y.example\r\nSubject: hi\r\n\r\n"), content...)
}

// Parts that are clean one by one do not make a mail clean that the scanner takes
// apart in another way.
func TestInspectScansTheRawMailToo(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.raw(holding(scantest.EICAR()))
	m.message.Text = "nothing to see"
	m.attach([]byte("minutes"))
	m.attach([]byte{0xff, 0xfe, 0, 1}, func(a *mail.Attachment) { a.ContentType = "application/pdf" })

	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{{
		Reason: contract.Infected, Detail: "the raw mail as a whole is infected: Eicar-Test-Signature",
	}}, got.Holds)
	require.Equal(t, contract.RawView("infected"), got.Inspected.RawView)
	require.Equal(t, "ClamAV 1.0.7", got.Inspected.Scanner)
	require.Equal(t, map[mail.Verdict]int{mail.Suspicious: 2}, got.Verdicts, "nothing of it is given a link")
	for _, a := range m.saved {
		require.Equal(t, mail.Suspicious, a.Verdict)
		require.Equal(t, "the raw mail as a whole is infected: Eicar-Test-Signature", a.Signature)
	}

	m = newInspected(t)
	m.raw(holding([]byte("fine")))
	m.attach([]byte("minutes"))
	got, err = m.inspect(t)
	require.NoError(t, err)
	require.Empty(t, got.Holds)
	require.Equal(t, contract.RawView("clean"), got.Inspected.RawView)
	require.Equal(t, mail.Clean, m.saved[0].Verdict)
	require.Len(t, m.scans, 2)
}

// The raw mail holds what its parts hold: that is no second find.
func TestInspectCountsAFindOnce(t *testing.T) {
	t.Parallel()
	m := newInspected(t)
	m.raw(holding(scantest.EICAR()))
	m.attach([]byte("minutes"))
	m.attach(scantest.EICAR())
	got, err := m.inspect(t)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{{
		Reason: contract.Infected, Detail: "attachment 2 of 2 is infected: Eicar-Test-Signature",
	}}, got.Holds)
	require.Equal(t, contract.RawView("infected"), got.Inspected.RawView)
	require.Equal(t, mail.Clean, m.saved[0].Verdict, "it is known which one it is")
}

// An edit that drops what is infected lets the rest go, unless programs may find
// something else in the mail.
func TestDroppingAnAttachmentHidesNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		defects   []string
		signature string // that the dropped attachment was held for
		verdict   mail.Verdict
		held      bool
	}{
		"what was dropped explains it":   {nil, "Eicar-Test-Signature", mail.Infected, false},
		"another find":                   {nil, "Other", mail.Infected, true},
		"programs may read it otherwise": {[]string{"a boundary is given twice"}, "Eicar-Test-Signature", mail.Infected, true},
		"it was never looked at":         {nil, "", "", true},
		"it was clean":                   {nil, "", mail.Clean, true},
	} {
		m := newInspected(t)
		m.raw(holding(scantest.EICAR()))
		m.message.Defects = c.defects
		m.attach(scantest.EICAR(), func(a *mail.Attachment) { a.Verdict, a.Signature = c.verdict, c.signature })
		m.attach([]byte("minutes"))
		m.manifest.Overlay = &contract.Edit{Drop: []string{m.manifest.Attachments[0].SHA256}}
		got, err := m.inspect(t)
		require.NoError(t, err, name)
		if !c.held {
			require.Empty(t, got.Holds, name)
			require.Equal(t, mail.Clean, m.saved[1].Verdict, name)
			continue
		}
		require.Len(t, got.Holds, 1, name)
		require.Equal(t, contract.Infected, got.Holds[0].Reason, name)
		require.Equal(t, mail.Suspicious, m.saved[1].Verdict, name)
		require.NotEqual(t, mail.Suspicious, m.saved[0].Verdict, "%s: a dropped one keeps its verdict", name)
	}
}

// bounded is a scanner that takes a few bytes only and finds nothing in them.
type bounded int

func (b bounded) Scan(_ context.Context, r io.Reader) (mail.Verdict, string, error) {
	content, err := io.ReadAll(r)
	if err == nil && len(content) > int(b) {
		return mail.Unscannable, mail.TooLargeToScan, nil
	}
	return mail.Clean, "", err
}

func (bounded) Using(context.Context) (string, string) { return "", "" }

// Padding takes the raw view from a mail: where the parser noted a defect no program
// knows what another program makes of it, else its parts count and the record says so.
func TestPaddingDoesNotRemoveAView(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		padding int
		defects []string
		view    contract.RawView
		verdict mail.Verdict
	}{
		"small":                  {0, nil, "clean", mail.Clean},
		"small with a defect":    {0, []string{"a line without a colon"}, "clean", mail.Clean},
		"too large":              {1000, nil, contract.RawTooLarge, mail.Clean},
		"too large, with defect": {1000, []string{"a line without a colon"}, "unscannable", mail.Unscannable},
	} {
		m := newInspected(t)
		m.scanner = bounded(500)
		m.message.Defects = c.defects
		m.raw(holding(make([]byte, c.padding)))
		m.attach([]byte("minutes"))
		got, err := m.inspect(t)
		require.NoError(t, err, name)
		require.Equal(t, c.view, got.Inspected.RawView, name)
		require.Equal(t, c.verdict, m.saved[0].Verdict, name)
		if c.verdict == mail.Clean {
			require.Empty(t, got.Holds, name)
			continue
		}
		require.Equal(t, []contract.Hold{{Reason: contract.Unscannable, Detail: "the raw mail as a whole could not be scanned: " +
			"larger than the scanner accepts, and programs may read it differently"}}, got.Holds, name)
	}
}

// Without the scanner, or the raw mail, there is no verdict at all.
func TestInspectWaitsForTheRawView(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(m *inspected)
		code  fault.Code
	}{
		"scanner":        {func(m *inspected) { m.scanErr = fault.New(fault.ScannerUnavailable, "away") }, fault.ScannerUnavailable},
		"raw mail":       {func(m *inspected) { clear(m.mails) }, fault.ContentLost},
		"other raw mail": {func(m *inspected) { m.mails[m.manifest.MIMEKey] = []byte("Subject: other\r\n\r\n") }, fault.ContentLost},
	} {
		m := newInspected(t)
		m.raw(holding([]byte("fine")))
		c.spoil(m)
		_, err := m.inspect(t)
		require.ErrorContains(t, err, string(c.code), name)
		require.Zero(t, m.saves, name)
	}
}

// clamd decodes nothing in what does not begin as the mails that it knows.
func TestClamdTakesEveryRawMailForMail(t *testing.T) {
	t.Parallel()
	clamd, err := clamav.New(clamav.Config{Address: testenv.Clamd(t)})
	require.NoError(t, err)
	zipped := scantest.Zip(t, scantest.File{Name: "t.com", Content: scantest.EICAR()})
	body := "Content-Type: multipart/mixed;\r\nboundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhi\r\n" +
		"--b1\r\nContent-Type: application/zip; name=t.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(zipped) + "\r\n--b1--\r\n"
	for name, head := range map[string]string{
		"usual": "From: a@x.example\r\n", "unknown field": "A: b\r\n", "no field": "", "lower case": "from: a@x.example\r\n",
		"blank lines": "\r\n\r\nA: b\r\n", "byte order mark": "\xef\xbb\xbfA: b\r\n", "mbox": ">From a\r\nA: b\r\n",
		"banner": "this is no field\r\nA: b\r\n",
	} {
		m := newInspected(t)
		m.scanner = clamd
		m.message.Text = "hi"
		m.raw([]byte(head + body))
		got, err := m.inspect(t)
		require.NoError(t, err, name)
		require.Len(t, got.Holds, 1, name)
		require.Equal(t, contract.Infected, got.Holds[0].Reason, name)
	}
}

// BenchmarkInspect is an ordinary mail with clamd, with and without its raw view.
func BenchmarkInspect(b *testing.B) {
	clamd, err := clamav.New(clamav.Config{Address: testenv.Clamd(b)})
	require.NoError(b, err)
	for _, size := range []int{0, 30 << 10, 1 << 20} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/raw=%v", size>>10, with), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					m, raw := minutes(b, size)
					if m.scanner = clamd; with {
						m.raw(raw)
					}
					b.StartTimer()
					_, err := m.inspect(b)
					require.NoError(b, err)
				}
			})
		}
	}
}

// minutes is a mail like no other, of which clamd remembers nothing, with an attachment
// of size bytes.
func minutes(b *testing.B, size int) (*inspected, []byte) {
	b.Helper()
	m := newInspected(b)
	m.message.Text = rand.Text() + strings.Repeat("All is well with the minutes of today. ", 100)
	raw := "From: a@x.example\r\nTo: b@y.example\r\nSubject: minutes\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n" +
		"--b1\r\nContent-Type: text/plain\r\n\r\n" + m.message.Text + "\r\n"
	if size > 0 {
		content := make([]byte, size)
		_, err := rand.Read(content)
		require.NoError(b, err)
		m.attach(content)
		raw += "--b1\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			base64.StdEncoding.EncodeToString(content) + "\r\n"
	}
	return m, []byte(raw + "--b1--\r\n")
}
