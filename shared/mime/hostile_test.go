//go:build unix

package mime

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spent returns the processor time of f, which does not depend on the load of the
// machine. The tests that measure are not parallel.
func spent(t *testing.T, f func()) time.Duration {
	t.Helper()
	cpu := func() time.Duration {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	before := cpu()
	f()
	return cpu() - before
}

func TestDeepNestingIsRefusedInMilliseconds(t *testing.T) {
	for _, n := range []int{17, 24, 40, 400, 20_000} {
		raw := []byte(nested(n, plainDeclaration))
		var got golden
		took := spent(t, func() { got = result(t, raw) })
		require.Contains(t, got.Malformed, "16 levels", n)
		require.Less(t, took, 100*time.Millisecond, n)
	}
	got := result(t, []byte(nested(16, plainDeclaration)))
	require.Empty(t, got.Malformed)
	require.Equal(t, "hello\n", got.Message.Text)
}

func TestNestingCannotBeHidden(t *testing.T) {
	for name, declare := range map[string]func(i int) string{
		"upper case": func(i int) string {
			return fmt.Sprintf("CONTENT-TYPE: MULTIPART/MIXED; BOUNDARY=\"b%d-\"", i)
		},
		"unquoted": func(i int) string { return fmt.Sprintf("Content-Type: multipart/mixed;boundary=b%d-", i) },
		"folded": func(i int) string {
			return fmt.Sprintf("Content-Type:\n\tmultipart/mixed;\n \t\n boundary=b%d-", i)
		},
		"continuation": func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary*0=b; boundary*1=\"%d-\"", i)
		},
		"extended": func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary*=utf-8''b%d%%2D", i)
		},
		"comments": func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed (a \\) \"comment); boundary=b%d- (another (one))", i)
		},
		"blank before the colon": func(i int) string {
			return fmt.Sprintf("Content-Type : multipart/mixed; boundary=b%d-", i)
		},
		"unknown subtype": func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/x-%d; a=b; boundary=b%d-", i, i)
		},
		"without separator": func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/; boundary=b%d-;;", i)
		},
		"second field ignored": func(i int) string {
			return plainDeclaration(i) + "\nContent-Type: text/plain"
		},
		"transfer encoding": func(i int) string {
			return plainDeclaration(i) + "\nContent-Transfer-Encoding: base64"
		},
		"disposition": func(i int) string {
			return plainDeclaration(i) + "\nContent-Disposition: attachment; filename=a.txt"
		},
		"attached messages": func(i int) string {
			return "Content-Type: message/rfc822\n\n" + plainDeclaration(i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"\n", "\r\n", "\r"} {
				raw := []byte(strings.ReplaceAll(nested(40, declare), "\n", end))
				var got golden
				took := spent(t, func() { got = result(t, raw) })
				require.Contains(t, got.Malformed, "16 levels", "%q", end)
				require.Less(t, took, 100*time.Millisecond)
			}
		})
	}
}

func TestBoundaryThatStartsAnotherEndsItsOwnLevelOnly(t *testing.T) {
	t.Parallel()
	raw := "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n" +
		"--bb\n\none\n--bb--\n--bx\n--b\n\ntwo\n--b--\n--b\n\nafter the end\n"
	require.Equal(t, "one\ntwo", result(t, []byte(raw)).Message.Text)
}

func TestAttachedMessagesCountWithoutBeingOpened(t *testing.T) {
	t.Parallel()
	chain := func(n int) string {
		return strings.Repeat("Content-Type: message/rfc822\n\n", n) + "Subject: innermost\n\nhello\n"
	}
	got := result(t, []byte("Subject: outer\n"+chain(16)))
	require.Empty(t, got.Malformed)
	require.Len(t, got.Attachments, 1)
	require.Contains(t, result(t, []byte("Subject: outer\n"+chain(17))).Malformed, "16 levels")
	encoded := "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGVsbG8K\n"
	require.Equal(t, "Subject: x\n\nhello\n", string(result(t, []byte(encoded)).Attachments[0].Content))
}

func TestPartLimit(t *testing.T) {
	parts := func(n int) []byte {
		return []byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", n) + "--b--\n")
	}
	require.Empty(t, result(t, parts(MaxParts-1)).Malformed)
	require.Contains(t, result(t, parts(MaxParts)).Malformed, "1,000 parts")
	many := parts(150_000)
	require.Less(t, spent(t, func() { result(t, many) }), 500*time.Millisecond)
}

// Memory is counted over the whole of Parse, freed or not: an upper bound of the memory
// in use.
func TestHostileMailOfOneMegabyteIsReadInBounds(t *testing.T) {
	for _, mails := range []map[string]string{hostileStructure(), hostileReadings(), hostileHeaders(), hostileLines(), hostileContent()} {
		for name, raw := range mails {
			t.Run(name, func(t *testing.T) {
				var before, after runtime.MemStats
				content := []byte(raw)
				runtime.ReadMemStats(&before)
				took := spent(t, func() { result(t, content) })
				runtime.ReadMemStats(&after)
				times := int64(after.TotalAlloc-before.TotalAlloc) / int64(len(raw))
				t.Log(len(raw), took, times)
				require.Less(t, took, 5*time.Second)
				require.Less(t, times, int64(200), "times the size")
			})
		}
	}
}

const megabyte = 1 << 20

func fill(s string) string { return strings.Repeat(s, megabyte/len(s)) }

func onePart(fields, body string) string {
	return "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + fields + "\n\n" + body + "\n--b--\n"
}

// hostileStructure has mails for which the search for parts is expensive.
func hostileStructure() map[string]string {
	return map[string]string{
		"line ends":         fill("\n"),
		"mixed line ends":   "A: b\n" + fill("\r\n\r"),
		"one line":          fill("x"),
		"one delimiter":     onePart("", fill("-")),
		"dashes":            "Content-Type: multipart/mixed; boundary=\"" + strings.Repeat("-", 250) + "\"\n\n" + fill("-"),
		"dashed lines":      "Content-Type: multipart/mixed; boundary=\"" + strings.Repeat("-", 250) + "\"\n\n" + fill("-\n---\n"),
		"near delimiters":   onePart("", fill("--bx\n")),
		"sixteen levels":    nested(16, plainDeclaration) + fill("--b0\nabc\n"),
		"sixteen and parts": nested(16, plainDeclaration) + fill("--b15-\n\n")[:980*8] + fill("x\n"),
		"text parts": "Content-Type: multipart/mixed; boundary=b\n\n" +
			strings.Repeat("--b\n\n"+strings.Repeat("x", 1000)+"\n", 990),
		"binary": fill("A: b\n\n\x00\xff\xfe"),
	}
}

// hostileReadings has mails with many readings.
func hostileReadings() map[string]string {
	types := strings.Builder{}
	for i := range 900 {
		fmt.Fprintf(&types, "Content-Type: multipart/mixed; boundary=b%d\n", i)
	}
	const top = "Content-Type: multipart/mixed; boundary=b\n\n"
	return map[string]string{
		"ends":                     top + fill("--b--\n"),
		"ends and parts":           top + fill("--b\nContent-Type: a/b\n\nx\n--b--\n"),
		"delimiters with more":     top + "--b\n\n" + fill("--b x\nContent-Type: a/b\n\nx\n"),
		"guessed":                  "Content-Type: multipart/mixed\n\n" + fill("--c\nContent-Type: multipart/mixed\n\nx\n"),
		"no guess":                 "Content-Type: multipart/mixed\n\n" + fill("--c\nx\n"),
		"nine hundred types":       types.String() + "\n" + fill("--b1\n\nx\n--b2\n\nx\n"),
		"many boundaries":          "Content-Type: multipart/mixed" + strings.Repeat("; boundary=\"b\\x\"", 900) + "\n\n" + fill("--bx\n--b\\x\n"),
		"encoded multiparts":       nested(16, func(i int) string { return plainDeclaration(i) + "\nContent-Transfer-Encoding: base64" }) + fill("QUJD\n"),
		"unknown encoding":         onePart("Content-Type: a/b\nContent-Transfer-Encoding: x, base64, y", fill("QUJD\n")),
		"sixteen that are guessed": nested(16, func(int) string { return "Content-Type: multipart/mixed" }) + fill("--b1-\nContent-Type: multipart/mixed\n\n"),
		"attached messages":        "Subject: x\n" + strings.Repeat("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n", 1) + fill("QUJD\n"),
	}
}

// hostileLines has mails for which repairing headers and parsing parameters is expensive.
func hostileLines() map[string]string {
	in := func(field, text string) string { return field + text[:MaxField-len(field)-2] + "\nX-A: b\n\nbody" }
	return map[string]string{
		"stray lines":          "A: b\n" + fill("x\n") + "Subject: x\n\n",
		"lines of blanks":      "A: b\n" + fill(" \n") + "Subject: x\n\n",
		"carriage returns":     "A: b\n" + fill("\r") + "Subject: x\n\n",
		"joined lines":         "Content-Type: a/b;\n" + fill("a=b\n") + "X-A: b\n\n",
		"dashed stray lines":   "Content-Type: multipart/mixed; boundary=b\n" + fill("--x\n") + "X-A: b\n\n",
		"escapes":              in("Content-Type: ", fill("\\\"")),
		"open comments":        in("Content-Type: a/b;", fill("(")),
		"comments":             in("Content-Type: a/b;", fill("(a(b)c)")),
		"open quotes":          in("Content-Type: a/b;", fill("a=\"b;")),
		"quotes":               in("Content-Type: a/b;", fill("a=\"b\"c")),
		"blanks":               in("Content-Type: a/b; a=", fill("a ")),
		"equals signs":         in("Content-Type: a/b; ", fill("=")),
		"slashes":              in("Content-Type: ", fill("a/")),
		"pieces":               in("Content-Type: a/b", fill("; name*7=a")),
		"boundaries":           in("Content-Type: multipart/mixed", fill(";boundary=")),
		"percent signs":        in("Content-Type: a/b; name*=utf-8''", fill("%C3")),
		"words in a parameter": in("Content-Type: a/b; name=\"", fill("=?utf-8?b?w?= ")),
		"words that are cut":   in("Subject: ", fill("=?utf-8?b?w7w?= ")),
		"half words":           in("Subject: ", fill("=?utf-8?q?")),
		"words of nothing":     in("Subject: ", fill("=??q??=")),
		"unquoted commas":      "To: " + fill("a, ")[:MaxAddressField-20] + "\n\nbody",
		"commas and brackets":  "To: " + fill("a, b <c@d>, ")[:MaxAddressField-20] + "\n\nbody",
		"words in a list":      "To: " + fill("=?utf-8?q?a,?= <c@d>, ")[:MaxAddressField-20] + "\n\nbody",
	}
}

// hostileHeaders has mails with expensive fields.
func hostileHeaders() map[string]string {
	parameters := strings.Builder{}
	for i := range 60 {
		fmt.Fprintf(&parameters, "; p%d=\"%s\"", i, strings.Repeat("=?utf-8?q?a?= ", 8))
	}
	return map[string]string{
		"one field":       "A: " + fill("x"),
		"folded field":    "A: b\n" + fill(" x\n"),
		"fields":          fill("A: b\n"),
		"words":           strings.Repeat("A: "+strings.Repeat("=?utf-8?q?=41?=", 4000)+"\n", 17),
		"broken words":    strings.Repeat("A: "+strings.Repeat("=?x?b?", 10_000)+"\n", 17),
		"charset words":   strings.Repeat("A: "+strings.Repeat("=?gb18030?b?YQ==?=", 3500)+"\n", 17),
		"addresses":       "To: " + fill("a@b.example,")[:MaxAddressField-20],
		"groups":          "To: " + fill("a:;,")[:MaxAddressField-20],
		"open comments":   "To: " + fill("(")[:MaxAddressField-20],
		"quotes":          "To: " + fill("\" ")[:MaxAddressField-20],
		"loose addresses": "To: " + fill("a b <c@d, e>, ")[:MaxAddressField-20],
		"angles":          "To: " + fill("<a@b.example ")[:MaxAddressField-20],
		"media types":     "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: text/plain"+parameters.String()+"\n\nx\n", 140),
	}
}

// hostileContent has mails with expensive transfer encodings and character sets.
func hostileContent() map[string]string {
	return map[string]string{
		"base64":             onePart("Content-Type: a/b\nContent-Transfer-Encoding: base64", fill("QUJD")),
		"junk in base64":     onePart("Content-Type: a/b\nContent-Transfer-Encoding: base64", fill("\x01 !Q")),
		"padded pieces":      onePart("Content-Type: a/b\nContent-Transfer-Encoding: base64", fill("QQ==")),
		"pads and letters":   onePart("Content-Type: a/b\nContent-Transfer-Encoding: base64", fill("A=")),
		"lines after a pad":  onePart("Content-Type: a/b\nContent-Transfer-Encoding: base64", "QQ==\n"+fill("x y\n")),
		"uuencode":           onePart("Content-Type: a/b\nContent-Transfer-Encoding: uuencode", "begin 644 x\n"+fill("M\n")),
		"begin lines":        onePart("Content-Type: text/plain", fill("begin 644 x\n")),
		"small files":        onePart("Content-Type: text/plain", fill("begin 644 x\n#0V%T\nend\n")),
		"shifts":             onePart("Content-Type: text/plain; charset=utf-7", fill("+")),
		"quoted-printable":   onePart("Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable", fill("=")),
		"soft line breaks":   onePart("Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable", fill("=\n")),
		"eight bits quoted":  onePart("Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable", fill("\xe9")),
		"undeclared charset": onePart("Content-Type: text/plain", fill("caf\xe9 ")),
		"escapes":            onePart("Content-Type: text/plain", fill("\x1b$B")),
		"utf-7":              onePart("Content-Type: text/plain; charset=utf-7", fill("+AAA-")),
		"utf-16":             onePart("Content-Type: text/plain; charset=utf-16", fill("\x00\xd8")),
		"meta charset":       onePart("Content-Type: text/html", "\xe9"+fill("<meta charset=")),
	}
}
