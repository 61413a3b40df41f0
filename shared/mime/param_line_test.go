package mime

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParamLine holds the hand-written check against the expression that says what it
// means.
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
