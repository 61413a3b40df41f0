package mime

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The functions tested here are written by hand, because they run for every line or
// field. Each is compared with the regular expression that defines it.

func FuzzParamLine(f *testing.F) {
	expression := regexp.MustCompile(`^;?\s*[A-Za-z][A-Za-z0-9_-]{0,40}(\*\d{0,4}\*?)?\s*=`)
	for _, line := range []string{
		"", "=", "a=", ";a=b", "; a = b", "a*=", "a*0=", "a*0*=", "a*12345=", "a**=", "a***=", "1a=", "_a=", "a_-9=", "a\t=", "a b=",
		"name*1234*\v=", ";;a=", "abcdefghijklmnopqrstuvwxyzabcdefghijklmno=", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop=",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		require.Equal(t, expression.Match(line), paramLine(line), "%q", line)
	})
}

func FuzzUUBegin(f *testing.F) {
	expression := regexp.MustCompile(`^begin(-base64)?[ \t]+[0-7]{3,7}[ \t]+(\S.{0,300})$`)
	for _, line := range []string{
		"", "begin", "begin 644 x", "begin-base64 644 x", "begin\t0644 \t a b ", "begin 64 x", "begin 12345678 x", "begin 648 x", "begin 644", "begin 644 ",
		"begin 644x", "begin644 x", "begin-base644 x", "begin 644 \fx", "begin 644 \x00", "begin 644 \xff\xfe", "begin 644 x\f", "Begin 644 x",
		"begin 644 " + strings.Repeat("\xc3\xa9", 301), "begin 644 " + strings.Repeat("\xc3\xa9", 302), "begin 644 " + strings.Repeat("\xff", 301),
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line, _, _ = cutHeaderLine(line)
		name, base64, ok := uuBegin(line)
		m := expression.FindSubmatch(line)
		require.Equal(t, m != nil, ok, "%q", line)
		if ok {
			require.Equal(t, string(bytes.TrimSpace(m[2])), name, "%q", line)
			require.Equal(t, len(m[1]) > 0, base64, "%q", line)
		}
	})
}

func FuzzWrittenBoundary(f *testing.F) {
	expression := regexp.MustCompile(`(?i)boundary\s*=\s*"?([^";]+)"?`)
	for _, value := range []string{
		"", "boundary", "boundary=", "boundary=a", "x; BOUNDARY\t=\f\"a b\"; boundary=c", "boundary=boundary=a", "boundaryboundary=a", "boundary=\"\"",
		"boundary=\";", "boundary= \"", "boundary= ;boundary=a", "boundary= ", "boundary==a", "boundary=\"a\"boundary=b", "boundary=\"\"a", "boundar\xd7=a",
		strings.Repeat("boundary=a;", 20),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		want := []string{}
		for _, m := range expression.FindAllStringSubmatch(value, -1) {
			if b := strings.TrimSpace(m[1]); b != "" { // the expression keeps one blank
				want = append(want, m[1])
			}
		}
		got := slices.DeleteFunc(written(value), func(b string) bool { return strings.TrimSpace(b) == "" })
		require.Equal(t, want[:min(len(want), maxBoundaries)], got, "%q", value)
	})
}
