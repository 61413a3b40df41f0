package contract

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
)

func TestLoopMarkNamesItsEmail(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"evt_01HF-x.y~z":         "evt_01HF-x.y~z",
		"<m1@sender.example>":    "<m1@sender.example>",
		"shop/7:8+9@x":           "shop/7:8+9@x",
		"100% sure":              "100%25%20sure",
		"grün":                   "gr%C3%BCn",
		"=?utf-8?q?x?=":          "%3D%3Futf-8%3Fq%3Fx%3F%3D",
		"%x7":                    "%25x7",
		strings.Repeat("a", 255): strings.Repeat("a", 255),
		strings.Repeat("a", 256): "%x41",
		strings.Repeat("é", 256): "%x41",
		strings.Repeat("日", 28):  strings.Repeat("%E6%97%A5", 28),
		strings.Repeat("日", 29):  "%x41",
		" id ":                   "%20id%20",
		"a,b;c\"d\\e":            "a%2Cb%3Bc%22d%5Ce",
	} {
		mark := LoopMark(Email{EventID: id, ID: 41})
		require.Equal(t, want, mark)
		read, row, ok := ReadLoopMark("  " + mark + "\r\n ")
		require.True(t, ok, mark)
		if row != 0 {
			require.EqualValues(t, 41, row)
			require.Empty(t, read)
			continue
		}
		require.Equal(t, id, read)
	}
	for _, text := range []string{"", " ", "%", "%zz", "%x", "%x0", "%x-1", "%x9999999999999999999", strings.Repeat("a", 256)} {
		_, _, ok := ReadLoopMark(text)
		require.False(t, ok, text)
	}
}

func FuzzLoopMark(f *testing.F) {
	f.Add("evt_1")
	f.Add("%x7\x00 é=?")
	f.Fuzz(func(t *testing.T, id string) {
		mark := LoopMark(Email{EventID: id, ID: 7})
		require.LessOrEqual(t, len(mark), maxMark)
		require.True(t, httpguts.ValidHeaderFieldValue(mark))
		require.NotContains(t, mark, "=?")
		require.Equal(t, http.CanonicalHeaderKey(LoopHeader), LoopHeader)
		read, row, ok := ReadLoopMark(mark)
		switch {
		case id == "":
			require.False(t, ok)
		case row != 0:
			require.EqualValues(t, 7, row)
		default:
			require.True(t, ok)
			require.Equal(t, id, read)
		}
		_, _, _ = ReadLoopMark(id)
	})
}
