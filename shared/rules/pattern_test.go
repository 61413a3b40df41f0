package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything", true},
		{"**", "", true},
		{"support@*", "support@yourapp.example", true},
		{"support@*", "SUPPORT@YourApp.example", true},
		{"support@*", "support+x@yourapp.example", false},
		{"support+*@*", "support+x@yourapp.example", true},
		{"support@*", "nosupport@yourapp.example", false},
		{"*@b.example", "a@b.example", true},
		{"*@b.example", "a@b.example.evil", false},
		{"a*a", "a", false}, // the ends may not share a letter
		{"a*a", "aa", true},
		{"*ab*ab*", "ab", false},
		{"*ab*ab*", "abab", true},
		{"ab*bc", "abc", false},
		{"*ab*b", "ab", false},
		{"a*ab*", "ab", false},
		{"*a*b*c*", "xxcxbxa", false},
		{"a.c", "abc", false},
		{"[a-z]", "b", false},
		{"[a-z]", "[A-Z]", true},
		{"ÄRGER*", "ärger im büro", true},
		{"a?c", "abc", false},
		{"*\n*", "a\nb", true},
	} {
		require.Equal(t, tc.want, compile(tc.pattern).match(tc.text), "%q %q", tc.pattern, tc.text)
	}
}

// TestPatternIsLinear matches a pattern on which backtracking would not end.
func TestPatternIsLinear(t *testing.T) {
	t.Parallel()
	p := compile(strings.Repeat("a*", 2000) + "b")
	text := strings.Repeat("a", 1<<20)
	start := time.Now()
	require.False(t, p.match(text))
	middle := compile("*" + strings.Repeat("a", 1000) + "b*")
	require.False(t, middle.match(text))
	require.Less(t, time.Since(start), 30*time.Second, "not for ever")
}

// oracle implements the definition of a match, slowly: a table over every prefix of
// both.
func oracle(p, s string) bool {
	ss := []rune(s)
	row := make([]bool, len(ss)+1)
	row[0] = true
	for _, c := range p {
		next := make([]bool, len(ss)+1)
		for j := range next {
			if c == '*' {
				next[j] = row[j] || (j > 0 && next[j-1])
			} else {
				next[j] = j > 0 && row[j-1] && ss[j-1] == c
			}
		}
		row = next
	}
	return row[len(ss)]
}

func FuzzPattern(f *testing.F) {
	f.Add("support@*", "support@yourapp.example")
	f.Add("*ab*ab*", "abab")
	f.Add("a*a", "a")
	f.Add("*İ*", "i̇")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 200 || len(s) > 2000 {
			return
		}
		want := oracle(strings.ToLower(strings.ToValidUTF8(p, "�")), strings.ToLower(strings.ToValidUTF8(s, "�")))
		if got := compile(strings.ToValidUTF8(p, "�")).match(strings.ToValidUTF8(s, "�")); got != want {
			t.Fatalf("match(%q, %q) = %v, want %v", p, s, got, want)
		}
	})
}
