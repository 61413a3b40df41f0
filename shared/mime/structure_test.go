package mime

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mime/mimetest"
)

func mixed(parts ...string) string {
	return "Subject: case\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
}

func names(g golden) []string {
	out := []string{}
	for _, a := range g.Attachments {
		out = append(out, a.Filename+"="+string(a.Content))
	}
	return out
}

func TestTextWithANameIsTheBodyWhereItIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	const (
		pdf    = "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nX"
		named  = "Content-Type: text/plain; name=message.txt\r\nContent-Disposition: inline\r\n\r\nwords"
		second = "Content-Type: text/plain; name=second.txt\r\n\r\nmore"
		html   = "Content-Type: text/html; name=message.html\r\n\r\n<p>words"
		kept   = "Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment\r\n\r\nnotes"
		plain  = "Content-Type: text/plain\r\n\r\nhello"
		empty  = "Content-Type: text/plain\r\n\r\n\r\n"
	)
	for name, c := range map[string]struct {
		raw, text, html string
		files           []string
	}{
		"the only text":        {mixed(named, pdf), "words", "", []string{"a.pdf=X"}},
		"behind the file":      {mixed(pdf, named), "words", "", []string{"a.pdf=X"}},
		"beside an empty text": {mixed(empty, named, pdf), "\n\nwords", "", []string{"a.pdf=X"}},
		"one of each kind":     {mixed(named, html), "words", "<p>words", []string{}},
		"an alternative": {
			strings.ReplaceAll(mixed(named, "Content-Type: text/html\r\n\r\n<p>words"), "mixed", "alternative"), "words", "<p>words", []string{},
		},
		"two alternatives": {
			strings.ReplaceAll(mixed(plain, named, "Content-Type: text/html\r\n\r\n<p>words"), "mixed", "alternative"),
			"hello", "<p>words", []string{"message.txt=words"},
		},
		"beside a text":                 {mixed(plain, named), "hello", "", []string{"message.txt=words"}},
		"two of them":                   {mixed(second, named), "", "", []string{"second.txt=more", "message.txt=words"}},
		"two of them, the first inline": {mixed(named, strings.Replace(named, "message", "other", 1)), "words", "", []string{"other.txt=words"}},
		"a text of an unknown kind":     {"Content-Type: text/$kind; charset=utf-8\r\n\r\nwords", "words", "", []string{}},
		"a calendar alone":              {"Content-Type: text/calendar\r\n\r\nBEGIN", "", "", []string{"attachment.ics=BEGIN"}},
		"marked as an attachment":       {mixed(kept, pdf), "", "", []string{"notes.txt=notes", "a.pdf=X"}},
		"beside an attachment":          {mixed(named, kept), "words", "", []string{"notes.txt=notes"}},
		"the mail itself":               {"Content-Type: text/plain; name=a.txt\r\n\r\nwords", "words", "", []string{}},
		"the mail itself, inline":       {"Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline\r\n\r\nwords", "words", "", []string{}},
		"the mail is an attachment":     {"Content-Disposition: attachment; filename=a.txt\r\n\r\nwords", "", "", []string{"a.txt=words"}},
	} {
		got := result(t, []byte(c.raw))
		require.Equal(t, c.text, got.Message.Text, name)
		require.Equal(t, c.html, got.Message.HTML, name)
		require.Equal(t, c.files, names(got), name)
		require.Empty(t, got.Message.Defects, name)
	}
}

func TestAddressesWithUnquotedCommas(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"Sender, Pat <pat@a.example>": "Sender, Pat <pat@a.example>",
		"Mr, Example One <one@a.example>, Mrs Example Two <two@a.example>, support@a.example": "Mr, Example One <one@a.example>|Mrs Example Two <two@a.example>|<support@a.example>",
		"one@a.example, Doe, Jane, Dr. <two@a.example>, \"Roe, R\" <three@a.example>":         "<one@a.example>|Doe, Jane, Dr. <two@a.example>|Roe, R <three@a.example>",
		"=?utf-8?Q?Doe,_Jane?= <one@a.example>, two@a.example":                                "Doe, Jane <one@a.example>|<two@a.example>",
		"=?utf-8?Q?Doe?=, Jane <one@a.example>":                                               "Doe, Jane <one@a.example>",
		"=?utf-8?B?RMO8?= =?utf-8?B?cmVy?= <one@a.example>":                                   "Dürer <one@a.example>",
		"\"=?utf-8?Q?D=C3=BCrer?=\" <one@a.example>":                                          "Dürer <one@a.example>",
		"Doe, Jane (Office, North) <one@a.example>, two@a.example (x, y)":                     "Doe, Jane (Office, North) <one@a.example>|<two@a.example>",
		"\"Doe, Jane <one@a.example>, two@a.example":                                          "Doe, Jane <one@a.example>|<two@a.example>",
		"one@a.example; Doe, Jane <two@a.example>; three@a.example":                           "<one@a.example>|Doe, Jane <two@a.example>|<three@a.example>",
		"Doe, Jane <<one@a.example>>, mailto:two@a.example, <mailto:three@a.example>":         "Doe, Jane <one@a.example>|<two@a.example>|<three@a.example>",
		"one@a.example,, ,two@a.example,":                                                     "<one@a.example>|<two@a.example>",
		"one@a.example two@a.example":                                                         "<one@a.example>|<two@a.example>",
		"One <one@a.example> Two <two@a.example>, three@a.example":                            "One <one@a.example>|Two <two@a.example>|<three@a.example>",
		"One <one@a.example> (Office), Doe, Jane <two@a.example>":                             "One <one@a.example>|Doe, Jane <two@a.example>",
		"Doe, Jane one@a.example":                                                             "Doe, Jane <one@a.example>",
		"root, one@a.example":                                                                 "<root>|<one@a.example>",
		"one@a.example <one@a.example>":                                                       "one@a.example <one@a.example>",
		"\"Pat\" one@a.example":                                                               "Pat <one@a.example>",
		"Pat <one@a.example.>, two@a.example.":                                                "Pat <one@a.example>|<two@a.example>",
		"=?utf-8?Q?Pat_<one@a.example>?=":                                                     "Pat <one@a.example>",
		"undisclosed recipients":                                                              "",
		"Undisclosed-Recipients":                                                              "",
		"<>":                                                                                  "",
		"Team: one@a.example, Doe, Jane <two@a.example>;":                                     "<one@a.example>|Doe, Jane <two@a.example>",
		"undisclosed-recipients:;":                                                            "",
		"Jane [at work] <one@a.example>, B. Roe <two@a.example>":                              "Jane [at work] <one@a.example>|B. Roe <two@a.example>",
		"one@a.example,\r\ntwo@a.example":                                                     "<one@a.example>|<two@a.example>",
	} {
		got := result(t, []byte("To: "+value+"\r\nSubject: x\r\n\r\nbody"))
		var list []string
		for _, a := range got.Message.To {
			list = append(list, strings.TrimSpace(a.Name+" <"+a.Address+">"))
		}
		require.Equal(t, want, strings.Join(list, "|"), value)
		require.Equal(t, "x", got.Message.Subject, value)
	}
}

func TestHeaderIsRepaired(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, subject, text, defect string }{
		"banner behind the subject":        {"Subject: minutes\r\n** scanned **\r\nFrom: a@b.example\r\n\r\nbody", "minutes", "body", DefectStrayLine},
		"banner before all":                {"** scanned **\r\nSubject: minutes\r\n\r\nbody", "minutes", "body", DefectStrayLine},
		"mbox lines":                       {"From x\r\n>From y\r\nSubject: minutes\r\n>From z\r\nX-A: b\r\n\r\nbody", "minutes", "body", DefectStrayLine},
		"encoded words without blanks":     {"Subject: =?utf-8?Q?min?=\r\n=?utf-8?Q?utes?=\r\nX-A: b\r\n\r\nbody", "minutes", "body", DefectJoinedLine},
		"blanks before the body":           {"Subject: minutes\r\n  \r\nbody\r\n\r\nmore", "minutes", "body\n\nmore", DefectBlankLine},
		"blanks in the middle":             {"Subject: minutes\r\n  \r\nX-A: b\r\n\r\nbody", "minutes", "body", DefectBlankLine},
		"no empty line":                    {"Subject: minutes\r\nDear all,\r\nhttp: is no field\r\n\r\nmore", "minutes", "Dear all,\nhttp: is no field\n\nmore", DefectNoEmptyLine},
		"no header":                        {"Dear all,\r\nX\r\n", "", "Dear all,\nX\n", ""},
		"empty first line, and fields":     {"\r\nSubject: minutes\r\n\r\nbody", "minutes", "body", ""},
		"text of carriage returns":         {"Subject: minutes\rX-A: b\r\rbody\rmore\n", "minutes", "body\nmore\n", DefectBareCR},
		"only carriage returns":            {"Subject: minutes\rX-A: b\r\rbody\rmore", "minutes", "body\nmore", ""},
		"UTF-16":                           {"\xff\xfeS\x00u\x00b\x00j\x00e\x00c\x00t\x00:\x00 \x00m\x00\n\x00\n\x00b\x00", "m", "b", DefectUTF16},
		"a field that is folded to blanks": {"Subject:\r\n\t\r\n minutes\r\nX-A: b\r\n\r\nbody", "minutes", "body", DefectBlankLine},
	} {
		got := result(t, []byte(c.raw))
		require.Equal(t, c.subject, got.Message.Subject, name)
		require.Equal(t, c.text, got.Message.Text, name)
		if c.defect == "" {
			require.Empty(t, got.Message.Defects, name)
		} else {
			require.Equal(t, []string{c.defect}, got.Message.Defects, name)
		}
		require.Empty(t, got.Malformed, name)
	}
}

// What comes before a limit is kept, the rest is dropped, and Malformed names the limit.
func TestMailBeyondABoundIsReadUpToIt(t *testing.T) {
	t.Parallel()
	const first = "Content-Type: text/plain\r\n\r\nhello"
	const pdf = "Content-Type: application/pdf; name=a.pdf\r\n\r\nX"
	deep := "Content-Type: multipart/mixed; boundary=in0\r\n\r\n"
	for i := range 30 {
		deep += fmt.Sprintf("--in%d\r\nContent-Type: multipart/mixed; boundary=in%d\r\n\r\n", i, i+1)
	}
	deep += "--in30\r\nContent-Type: text/plain\r\n\r\ninnermost\r\n"
	attached := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 30) + "Subject: x\r\n\r\ny"
	partial := "Content-Type: message/partial; id=x; number=1; total=2\r\n\r\npiece"
	for name, c := range map[string]struct {
		raw, reason, text string
		files             []string
		defect            string
	}{
		"depth":   {mixed(first, pdf, deep), "16 levels", "hello", []string{"a.pdf=X"}, DefectBound},
		"parts":   {mixed(append([]string{first, pdf}, make([]string, 1500)...)...), "1,000 parts", "hello", []string{"a.pdf=X"}, DefectBound},
		"message": {mixed(first, attached), "16 levels", "hello", []string{"attachment.eml=" + attached[len("Content-Type: message/rfc822\r\n\r\n"):]}, DefectBound},
		"piece":   {mixed(first, partial), "message/partial", "hello", []string{"attachment.bin=piece"}, DefectPartial},
		"boundary": {
			mixed(first, pdf, "Content-Type: multipart/mixed; boundary="+strings.Repeat("x", 999)+"\r\n\r\n--x\r\n"),
			"998 bytes", "hello\n--x\n", []string{"a.pdf=X"}, DefectBound,
		},
	} {
		got := result(t, []byte(c.raw))
		require.Contains(t, got.Malformed, c.reason, name)
		require.Equal(t, c.text, got.Message.Text, name)
		require.Equal(t, "case", got.Message.Subject, name)
		require.Equal(t, c.files, names(got), name)
		require.Contains(t, got.Message.Defects, c.defect, name)
	}
}

// An encoded message is read like any other: its nesting counts.
func TestAttachedMessageInBase64IsLookedInto(t *testing.T) {
	t.Parallel()
	inner := "Subject: x\r\nContent-Type: multipart/mixed; boundary=\"i\\n\"\r\n\r\n--in\r\n\r\ny\r\n--in--\r\n"
	raw := mixed("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + mimetest.Base64([]byte(inner)))
	got := result(t, []byte(raw))
	require.Equal(t, []string{"attachment.eml=" + inner}, names(got))
	require.Equal(t, []string{DefectBoundary}, got.Message.Defects)
}

// A violation that all programs read alike is no defect.
func TestCommonFaultsAreNoDefects(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"eight bits in the header": "Subject: caf\xe9\r\n\r\nbody",
		"long lines":               "Subject: " + strings.Repeat("x", 5000) + "\r\n\r\n" + strings.Repeat("y", 5000),
		"a long thread":            "References:" + strings.Repeat("\r\n <0000000000.thread@sender.example>", 2000) + "\r\n\r\nbody",
		"an unclosed multipart":    strings.TrimSuffix(mixed("\r\nx", "Content-Type: a/b\r\n\r\ny"), "--b--\r\n"),
		"nothing in a part":        mixed("\r\nx", "", "\r\n"),
		"base64 without padding":   mixed("Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUI"),
		"a list's footer":          mixed("Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUI=\r\n\r\n____\r\nThe list\r\nhttps://lists.example/"),
		"a footer without padding": mixed("Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n____\r\nThe list\r\nhttps://lists.example/"),
		"boundaries that begin alike": mixed("Content-Type: multipart/alternative; boundary=b1\r\n\r\n--b1\r\n\r\nx\r\n--b1\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--b1--\r\n",
			"Content-Type: a/b; name=c\r\n\r\ny"),
		"a signature":          mixed("\r\nx\r\n-- \r\nPat\r\n--\r\nmore"),
		"names in two ways":    mixed("Content-Type: a/b; name=\"=?utf-8?Q?x?=\"\r\nContent-Disposition: attachment; filename*=utf-8''x\r\n\r\ny"),
		"transfer encoding":    mixed("Content-Type: a/b\r\nContent-Transfer-Encoding: Base64 \r\n\r\nQUI="),
		"a delivery report":    string(sample(t, "bounce")),
		"a signed mail":        string(sample(t, "signed_pgp")),
		"a calendar":           string(sample(t, "calendar_invite")),
		"a digest":             string(sample(t, "digest")),
		"an attached message":  string(sample(t, "attached_message")),
		"text about MIME":      "Subject: x\r\n\r\nContent-Type: text/plain\r\n--b\r\nbegin 644 of them\r\n",
		"the same field twice": "Content-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx",
	} {
		got := result(t, []byte(raw))
		require.Empty(t, got.Malformed, name)
		require.Empty(t, got.Message.Defects, name)
	}
}

// The sender did not declare the file as text: the default of RFC 2045 §5.2 is for
// display only.
func TestTypeThatIsNoneIsNotDeclared(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Content-Type: zip; name=a.zip", "Content-Disposition: attachment; filename=a.zip", "Content-Type: application/; name=a.zip"} {
		got := result(t, []byte(mixed("\r\nx", header+"\r\n\r\ny")))
		require.Equal(t, []string{"a.zip=y"}, names(got), header)
		require.Empty(t, got.Attachments[0].ContentType, header)
	}
	require.Equal(t, "words", result(t, []byte("Content-Type: text\r\n\r\nwords")).Message.Text)
}

// Blanks removed at the ends of lines do not let a small mail become large.
func TestUuencodeDoesNotGrow(t *testing.T) {
	t.Parallel()
	raw := mixed("Content-Type: a/b\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin 644 x\r\n" + strings.Repeat("M\r\n", 100_000) + "end")
	got := result(t, []byte(raw))
	require.Len(t, got.Attachments, 1)
	require.Less(t, got.Attachments[0].Size, int64(2*len(raw)+4<<10))
	require.Equal(t, []string{DefectUuencode}, got.Message.Defects)
}
