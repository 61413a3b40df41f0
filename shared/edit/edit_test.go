package edit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

func ref(s string) *string { return &s }

func known() edit.Known {
	return edit.Known{
		Destinations: []string{"ticketing", "accounting"},
		Attachments:  []mail.Attachment{{Filename: "a.pdf", SHA256: sumA}, {Filename: "link.txt"}},
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]contract.Edit{
		"targets":    {To: []string{"accounting", "ticketing"}},
		"recipients": {Recipients: []string{"support@yourapp.example", "büro@yourapp.example", "x+y@yourapp.example"}},
		"headers": {Headers: map[string]*string{
			"Subject": ref("Größe 12 👟"), "X-Spam": nil, "From": ref("Ann <ann@a.example>"), "Date": ref("Mon, 2 Jan 2006 15:04:05 -0700"),
		}},
		"charset":    {Charset: "ISO-8859-1"},
		"attachment": {Drop: []string{strings.ToUpper(sumA)}},
		"fields":     {Fields: map[string]string{"rcpt": "recipient", "subject": "text", "text": "subject"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, edit.Validate(e, known()))
		})
	}
}

func TestValidateNamesFieldAndBound(t *testing.T) {
	t.Parallel()
	many := make([]string, contract.MaxEditRecipients+1)
	for name, c := range map[string]struct {
		edit contract.Edit
		want string
	}{
		"nothing":             {contract.Edit{}, "edit: it changes nothing"},
		"empty lists":         {contract.Edit{To: []string{}, Headers: map[string]*string{}}, "changes nothing"},
		"unknown destination": {contract.Edit{To: []string{"ticketing", "secret-sink"}}, "edit.to[1]: is no destination of the tenant of this email"},
		"destination twice":   {contract.Edit{To: []string{"ticketing", "ticketing"}}, "edit.to[1]: is there twice"},
		"many recipients":     {contract.Edit{Recipients: many}, "edit.recipients: has 101 entries, at most 100"},
		"long recipient":      {contract.Edit{Recipients: []string{strings.Repeat("a", 1100) + "@b.example"}}, "at most 1024"},
		"named recipient":     {contract.Edit{Recipients: []string{"Ann <ann@b.example>"}}, "edit.recipients[0]: is not one bare address"},
		"two recipients":      {contract.Edit{Recipients: []string{"a@b.example, c@d.example"}}, "is not one bare address"},
		"no at":               {contract.Edit{Recipients: []string{"ann"}}, "is not one bare address"},
		"broken recipient":    {contract.Edit{Recipients: []string{"a@b.example\r\nBcc: x@y.example"}}, "is not one bare address"},
		"recipient twice":     {contract.Edit{Recipients: []string{"a@b.example", "A@B.example"}}, "edit.recipients[1]: is there twice"},
		"header name":         {contract.Edit{Headers: map[string]*string{"Sub ject": ref("x")}}, "RFC 5322 §3.6.8"},
		"header name colon":   {contract.Edit{Headers: map[string]*string{"Subject:": ref("x")}}, "without a colon"},
		"header name break":   {contract.Edit{Headers: map[string]*string{"X\r\nBcc": nil}}, "RFC 5322 §3.6.8"},
		"no header name":      {contract.Edit{Headers: map[string]*string{"": nil}}, "edit.headers: a name is not"},
		"header break":        {contract.Edit{Headers: map[string]*string{"Subject": ref("x\r\nBcc: y@z.example")}}, "edit.headers.Subject: has a line break"},
		"header control":      {contract.Edit{Headers: map[string]*string{"Subject": ref("x\x00y")}}, "has control characters"},
		"header UTF-8":        {contract.Edit{Headers: map[string]*string{"Subject": ref("caf\xe9")}}, "is not UTF-8"},
		"header separator":    {contract.Edit{Headers: map[string]*string{"Subject": ref("a\u2028b")}}, "has control characters"},
		"header empty":        {contract.Edit{Headers: map[string]*string{"Subject": ref(" ")}}, "is empty: null removes it"},
		"header blanks":       {contract.Edit{Headers: map[string]*string{"Subject": ref(" x")}}, "white space"},
		"header long":         {contract.Edit{Headers: map[string]*string{"Subject": ref(strings.Repeat("x", 17<<10))}}, "at most 16384"},
		"header case":         {contract.Edit{Headers: map[string]*string{"Subject": ref("x"), "subject": nil}}, "twice, in different case"},
		"from":                {contract.Edit{Headers: map[string]*string{"From": ref("no address at all")}}, "edit.headers.From: cannot be read"},
		"date":                {contract.Edit{Headers: map[string]*string{"Date": ref("yesterday")}}, "edit.headers.Date: cannot be read"},
		"charset":             {contract.Edit{Charset: "klingon"}, "edit.charset: is no character set"},
		"replacement":         {contract.Edit{Charset: "iso-2022-kr"}, "edit.charset: is no character set"},
		"not hex":             {contract.Edit{Drop: []string{"a.pdf"}}, "edit.drop[0]: is not the SHA-256"},
		"no attachment":       {contract.Edit{Drop: []string{sumB}}, "edit.drop[0]: is the SHA-256 of no attachment"},
		"attachment twice":    {contract.Edit{Drop: []string{sumA, strings.ToUpper(sumA)}}, "edit.drop[1]: is there twice"},
		"target":              {contract.Edit{Fields: map[string]string{"rcpt": "recipients"}}, "must be one of attachments, auth, cc"},
		"itself":              {contract.Edit{Fields: map[string]string{"to": "to"}}, "to is to be read as itself"},
		"two as one":          {contract.Edit{Fields: map[string]string{"a": "to", "b": "to"}}, "two members are to be read as to"},
		"field name":          {contract.Edit{Fields: map[string]string{"": "to"}}, "edit.fields: a name is not 1 to 1024 bytes"},
		"each mistake":        {contract.Edit{Charset: "x", To: []string{"y"}}, "edit.to[0]: is no destination of the tenant of this email; edit.charset: is no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := edit.Validate(c.edit, known())
			require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
			public := fault.From(err).Public
			require.Contains(t, public, c.want)
			for _, sent := range []string{"secret-sink", "z.example", "klingon", "no address at"} {
				require.NotContains(t, public, sent, "what was sent is not repeated")
			}
		})
	}
}

func TestValidateNamesSomeOfManyMistakes(t *testing.T) {
	t.Parallel()
	e := contract.Edit{To: strings.Split(strings.Repeat("x ", 60), " ")}
	public := fault.From(edit.Validate(e, known())).Public
	require.Equal(t, 10, strings.Count(public, "edit.to["))
	require.True(t, strings.HasSuffix(public, "; and more"))
}

func TestStepAndNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edit  contract.Edit
		step  contract.Step
		names []string
	}{
		{contract.Edit{Fields: map[string]string{"a": "to"}, To: []string{"x"}}, contract.StepStore, []string{"to", "fields"}},
		{contract.Edit{Charset: "utf-8", Drop: []string{sumA}}, contract.StepStore, []string{"charset", "drop"}},
		{contract.Edit{Drop: []string{sumA}, Recipients: []string{"a@b"}}, contract.StepInspect, []string{"recipients", "drop"}},
		{contract.Edit{Headers: map[string]*string{"X": nil}}, contract.StepRoute, []string{"headers"}},
		{contract.Edit{To: []string{"x"}}, contract.StepRoute, []string{"to"}},
	} {
		require.Equal(t, c.step, edit.Step(c.edit))
		require.Equal(t, c.names, edit.Names(c.edit))
	}
}

func TestMergeLaterWins(t *testing.T) {
	t.Parallel()
	first := contract.Edit{
		To: []string{"a"}, Recipients: []string{"a@b.example"}, Charset: "utf-8", Drop: []string{sumA},
		Headers: map[string]*string{"Subject": ref("one"), "X-A": ref("a"), "X-B": nil},
		Fields:  map[string]string{"rcpt": "recipient", "when": "timestamp"},
	}
	second := contract.Edit{
		To: []string{"b", "c"}, Charset: "koi8-r", Drop: []string{strings.ToUpper(sumA), sumB},
		Headers: map[string]*string{"subject": ref("two"), "x-a": nil},
		Fields:  map[string]string{"receivers": "recipient"},
	}
	got := edit.Merge(first, second)
	require.Equal(t, contract.Edit{
		To: []string{"b", "c"}, Recipients: []string{"a@b.example"}, Charset: "koi8-r", Drop: []string{sumA, sumB},
		Headers: map[string]*string{"subject": ref("two"), "x-a": nil, "X-B": nil},
		Fields:  map[string]string{"receivers": "recipient", "when": "timestamp"},
	}, got)
	require.Equal(t, "one", *first.Headers["Subject"], "the edits stay as they are")
	require.Len(t, first.Fields, 2)
	require.True(t, edit.Empty(edit.Merge()))
}

func picture() edit.Picture {
	return edit.Picture{
		Manifest: ledger.Manifest{
			Subject: "Helo", Sender: "bounce@a.example", Recipients: []string{"nobody@yourapp.example"}, MessageID: "<1@a.example>",
			Attachments: []mail.Attachment{
				{Filename: "a.pdf", SHA256: sumA, Size: 3, Verdict: mail.Infected},
				{Filename: "b.pdf", SHA256: sumB, Size: 4, Verdict: mail.Clean},
				{Filename: "link.txt", URL: "https://files.example/x"},
			},
		},
		Message: mail.Message{
			Subject: "Helo", MessageID: "<1@a.example>", From: []mail.Address{{Address: "ann@a.example"}}, Text: "text",
			Headers: []mail.Header{
				{Name: "Received", Value: "one"}, {Name: "SUBJECT", Value: "Helo"}, {Name: "Received", Value: "two"},
			},
		},
		Destinations: []string{"ticketing"},
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	before := picture()
	after := before.Apply(contract.Edit{
		To: []string{"accounting"}, Recipients: []string{"support@yourapp.example"}, Drop: []string{sumA},
		Headers: map[string]*string{
			"Subject": ref("Hello"), "Received": nil, "From": ref("=?utf-8?q?B=C3=B6b?= <bob@b.example>"), "X-Case": ref("7"),
			"Date": ref("Mon, 2 Jan 2006 15:04:05 -0700"), "Message-ID": nil, "Cc": ref("c@c.example"),
		},
	})
	require.Equal(t, picture(), before, "the original stays as it is")

	require.Equal(t, []string{"accounting"}, after.Destinations)
	require.Equal(t, []string{"support@yourapp.example"}, after.Manifest.Recipients)
	require.Equal(t, "bob@b.example", after.Manifest.Sender)
	require.Equal(t, "Hello", after.Manifest.Subject)
	require.Empty(t, after.Manifest.MessageID)
	require.Len(t, after.Manifest.Attachments, 2)
	require.Equal(t, "b.pdf", after.Manifest.Attachments[0].Filename)

	m := after.Message
	require.Equal(t, "Hello", m.Subject)
	require.Equal(t, []mail.Address{{Name: "Böb", Address: "bob@b.example"}}, m.From)
	require.Equal(t, []mail.Address{{Address: "c@c.example"}}, m.Cc)
	require.Equal(t, time.Date(2006, 1, 2, 22, 4, 5, 0, time.UTC), m.Date)
	require.Equal(t, "text", m.Text)
	require.Equal(t, mail.Header{Name: "Subject", Value: "Hello"}, m.Headers[0], "in its old place")
	for _, h := range m.Headers {
		require.NotEqual(t, "Received", h.Name)
	}
	require.Contains(t, m.Headers, mail.Header{Name: "X-Case", Value: "7"})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := picture()
	require.Empty(t, edit.Diff(before, before))
	after := before.Apply(contract.Edit{
		To: []string{"accounting"}, Recipients: []string{"support@yourapp.example"}, Drop: []string{sumA},
		Headers: map[string]*string{"Subject": ref("Hello"), "received": nil, "X-Case": ref("7")},
	})
	require.Equal(t, []ledger.Change{
		{Field: "to", Before: "ticketing", After: "accounting"},
		{Field: "recipients", Before: "nobody@yourapp.example", After: "support@yourapp.example"},
		{Field: "headers.Subject", Before: "Helo", After: "Hello"},
		{Field: "headers.Received", Before: "one\ntwo"},
		{Field: "headers.X-Case", After: "7"},
		{Field: "attachments[0]", Before: "a.pdf, 3 bytes, sha256 " + sumA + ", infected"},
	}, edit.Diff(before, after))
}

func TestDiffCutsLongTextAroundTheDifference(t *testing.T) {
	t.Parallel()
	lead := strings.Repeat("é", 5000)
	before, after := picture(), picture()
	before.Message.Text = lead + "caf\uFFFD" + strings.Repeat("x", 5000)
	after.Message.Text = lead + "café" + strings.Repeat("x", 5000)
	changes := edit.Diff(before, after)
	require.Len(t, changes, 1)
	require.Equal(t, "text", changes[0].Field)
	require.Contains(t, changes[0].Before, "ééécaf\uFFFDxxx")
	require.Contains(t, changes[0].After, "ééécaféxxx")
	require.Less(t, len(changes[0].After), 620)
	require.True(t, strings.HasPrefix(changes[0].After, "…") && strings.HasSuffix(changes[0].After, "…"))
}
