package payload

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// nested returns leaf inside n levels.
func nested(open, leaf, end string, n int) string {
	return strings.Repeat(open, n) + leaf + strings.Repeat(end, n)
}

// TestDeepValuesAreCheckedAndLeftOut: a syntax error is found at any depth, and the
// fields around a deep value are read.
func TestDeepValuesAreCheckedAndLeftOut(t *testing.T) {
	t.Parallel()
	for leaf, good := range map[string]bool{
		"": true, "1": true, "-0.5e+10": true, `"\u00e9\n"`: true, "true": true, "null,false": true, `{"a":{"b":[1]},"c":""}`: true,
		"{}": true, "[ ]": true, " 1 , 2 ": true, "1E5": true, "0": true, "10.0e-7": true, `"é"`: true,
		",": false, "1,": false, "01": false, "-": false, "1.": false, "1e": false, "1e+": false, "tru": false, "nul,1": false, "x": false,
		`"\x"`: false, `"\u00g0"`: false, "\"\x01\"": false, `{"a"}`: false, `{"a":}`: false, `{a:1}`: false, `{"a":1,}`: false, "1 2": false,
		"}": false, "]": false, "{]": false, "[}": false, `{"a":1]`: false, "-01": false, ".5": false, "+1": false, `"a" "b"`: false,
	} {
		for _, depth := range []int{MaxDepth - 2, MaxDepth - 1, MaxDepth, MaxDepth + 1, 20_000} {
			body := `{"x":` + nested("[", leaf, "]", depth) + `,"event_id":"a","subject":"s"}`
			head, err := Peek(iotest.HalfReader(strings.NewReader(body)), Options{})
			if !good {
				require.True(t, fault.Is(err, fault.JSONMalformed), "%q %d: %v", leaf, depth, err)
				continue
			}
			require.NoError(t, err, "%q %d", leaf, depth)
			e, err := Decode([]byte(body), Options{})
			require.NoError(t, err, "%q %d", leaf, depth)
			require.Equal(t, "s", e.Message.Subject)
			require.Equal(t, headOf(e), head)
			require.Equal(t, levels([]byte(body)) > MaxDepth, head.Breaches > 0, "%q %d", leaf, depth)
		}
	}
}

// TestDeepBodiesThatEndEarly distinguishes a missing end from a wrong one.
func TestDeepBodiesThatEndEarly(t *testing.T) {
	t.Parallel()
	for _, tail := range []string{"", "]", `"`, `{"a`, "tru", "-", strings.Repeat("]", 20_000)} {
		checkMalformed(t, `{"event_id":"a","x":`+strings.Repeat("[", 20_000)+tail, "ends too early")
	}
	checkMalformed(t, `{"event_id":"a","x":`+strings.Repeat("[", 200)+"\xff", "not valid UTF-8")
}

// TestLongTextsAreCutBetweenCharacters: the rest of a text that is too long is skipped
// and checked, wherever it is cut.
func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, filling := range []string{"a", "é", "😀", `\n`, `\u00e9`, `\ud83d\ude00`, `\"`, `\\`} {
		for shift := range 13 {
			text := strings.Repeat("x", shift) + strings.Repeat(filling, longString/len(filling)+20)
			for tail, good := range map[string]bool{
				`"`: true, `\/"`: true, `\ud800"`: true, `\x"`: false, `\u12"`: false, "\x1f\"": false,
			} {
				body := `{"to":["b@c","` + text + tail + `],"event_id":"a"}`
				head, err := Peek(iotest.OneByteReader(strings.NewReader(body)), Options{})
				if !good {
					require.True(t, fault.Is(err, fault.JSONMalformed), "%q %d %q: %v", filling, shift, tail, err)
					continue
				}
				require.NoError(t, err, "%q %d %q", filling, shift, tail)
				e, err := Decode([]byte(body), Options{})
				require.NoError(t, err)
				require.Equal(t, headOf(e), head)
				require.Equal(t, []string{"b@c"}, head.Recipients)
			}
		}
	}
}

// FuzzTrim compares a text with its trimmed form: both are JSON or neither is, and if
// nothing is too long or too deep, they have the same meaning.
func FuzzTrim(f *testing.F) {
	for _, body := range []string{
		`{"a":[1, 2,  {"b":"\u0041\""}]}`, nested("[", `{"a":1e5}`, "]", 70), nested(`{"a":`, "[]", "}", 70), `"` + strings.Repeat("é", 50) + `"`,
		strings.Repeat("7", 400), "[1,\n\n\t 2]", nested("[", "tru", "]", 70), `{"a":"` + strings.Repeat(`\\`, 40) + `"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 9_000 {
			return // more than the library goes down
		}
		for _, longest := range []int{0, 16} {
			src := newSource(iotest.HalfReader(bytes.NewReader(body)))
			src.trim.longest = longest
			out, err := io.ReadAll(src)
			valid := json.Valid(body)
			if src.broken {
				return
			}
			require.Equal(t, valid, err == nil && json.Valid(out), "%q -> %q %v", body, out, err)
			if valid {
				require.LessOrEqual(t, levels(out), trimDepth)
			}
			if valid && longest == 0 && levels(body) <= trimDepth && !bytes.Contains(body, bytes.Repeat([]byte("0"), longDigits)) {
				var a, b bytes.Buffer
				require.NoError(t, json.Compact(&a, body))
				require.NoError(t, json.Compact(&b, out))
				if len(a.Bytes()) == len(b.Bytes()) { // no run of digits was cut
					require.Equal(t, a.String(), b.String())
				}
			}
		}
		require.LessOrEqual(t, len(shallow(body)), len(body))
	})
}

// levels returns the depth of a JSON text.
func levels(body []byte) int {
	deepest, now := 0, 0
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			now++
			deepest = max(deepest, now)
		case json.Delim(']'), json.Delim('}'):
			now--
		}
	}
}
