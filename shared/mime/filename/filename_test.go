package filename

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"report.pdf":                      "report.pdf",
		"Rechnung für Müller (2).pdf":     "Rechnung für Müller (2).pdf",
		"請求書.xlsx":                        "請求書.xlsx",
		"../../etc/passwd":                "passwd",
		`C:\Users\x\plan.docx`:            "plan.docx",
		"C:plan.docx":                     "C_plan.docx",
		"folder/":                         "folder",
		"..":                              "attachment.bin",
		".":                               "attachment.bin",
		"":                                "attachment.bin",
		" \t\r\n":                         "attachment.bin",
		"/":                               "attachment.bin",
		"\x00\x01\x7f\u0085":              "attachment.bin",
		".htaccess":                       "htaccess",
		"...profile":                      "profile",
		"trailing. . .":                   "trailing",
		"a\x00b.txt":                      "ab.txt",
		"two\r\n lines.txt":               "two lines.txt",
		"invoice\u202efdp.exe":            "invoicefdp.exe",
		"zero\u200bwidth\ufeff.txt":       "zerowidth.txt",
		"line\u2028break.txt":             "linebreak.txt",
		"family 👨‍👩‍👧.png":                "family 👨‍👩‍👧.png",
		"bad\xffutf8.txt":                 "bad_utf8.txt",
		`what?<is>"this"|*.txt`:           "what__is__this___.txt",
		"file.txt:stream":                 "file.txt_stream",
		"CON":                             "_CON",
		"con.txt":                         "_con.txt",
		"Aux .tar.gz":                     "_Aux .tar.gz",
		"LPT1.prn":                        "_LPT1.prn",
		"COM¹":                            "_COM¹",
		"COM10.txt":                       "COM10.txt",
		"console.txt":                     "console.txt",
		strings.Repeat("é", 200) + ".pdf": strings.Repeat("é", 125) + ".pdf",
		strings.Repeat("x", 300):          strings.Repeat("x", 255),
		"x." + strings.Repeat("e", 300):   "x." + strings.Repeat("e", 253),
		strings.Repeat("x", 254) + " " + strings.Repeat("y", 9): strings.Repeat("x", 254),
	} {
		require.Equal(t, want, Clean(in, ""), "%q", in)
	}
}

func TestCleanNamesTheNamelessByType(t *testing.T) {
	t.Parallel()
	require.Equal(t, "attachment.pdf", Clean("", "application/pdf"))
	require.Equal(t, "attachment.png", Clean("/", "IMAGE/PNG"))
	require.Equal(t, "attachment.bin", Clean("", "x-odd/type"))
	require.Equal(t, "a.txt", Clean("a.txt", "application/pdf"))
}

func FuzzCleanFilename(f *testing.F) {
	for _, s := range []string{
		"report.pdf", "../../etc/passwd", `..\..\x`, "CON .txt", ".", "a\u202eb.exe", "\xff\xfe", "_CON", " . a . ",
		strings.Repeat("é", 300) + ".tar.gz", strings.Repeat(". ", 200) + "x", strings.Repeat("x", 250) + " . .ext",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := Clean(in, "")
		require.Equal(t, out, Clean(out, ""), "not idempotent: %q", in)
		require.NotEmpty(t, out)
		require.LessOrEqual(t, len(out), MaxBytes)
		require.True(t, utf8.ValidString(out))
		require.False(t, strings.ContainsAny(out, "/\\:<>\"|?*"))
		require.False(t, strings.HasPrefix(out, ".") || strings.HasPrefix(out, " "))
		require.False(t, strings.HasSuffix(out, ".") || strings.HasSuffix(out, " "))
		for _, r := range out {
			require.False(t, unicode.IsControl(r) || invisible(r), "%q", out)
		}
		require.False(t, reserved(out), "%q", out)
	})
}
