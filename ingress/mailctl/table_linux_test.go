package mailctl

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newTerminal returns a terminal with lines of this width: what is written to its screen
// is read from the keyboard's side.
func newTerminal(t *testing.T, width uint16) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = screen.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: width}))
	return keyboard, screen
}

// hostile is a page of emails whose senders try to steer the terminal, and to make lines
// of another width than they look.
const hostile = `{"emails":[` +
	`{"number":1234,"event_id":"evt_abcdefghijklmnopqrstuvwxyz","state":"quarantined","reason":"recipient_foreign","source":"mailparse",` +
	`"from":"\u001b]0;owned\u0007@example.com","to":["support@yourapp.example"],"to_count":12,"subject":"\u001b[2J\u009b1A\r\n\u202edone"},` +
	`{"number":9,"event_id":"evt_2","state":"delivered","source":"mailparse","from":"ada@example.com","to":["b@yourapp.example"],` +
	`"subject":"請求書をお送りします。請求書をお送りします。請求書をお送りします。請求書をお送りします。"},` +
	`{"number":8,"event_id":"` + "LONG" + `","state":"delivered","source":"mailparse","from":"e\u0301\u0301\u0301@example.com","to":["c@yourapp.example"],"subject":"😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀"}]}`

func TestListFitsTheTerminal(t *testing.T) {
	t.Parallel()
	text := strings.Replace(hostile, "LONG", strings.Repeat("i", 255), 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)

	for width, want := range map[uint16][]string{
		200: {"ID", "STATE", "REASON", "AGE", "SOURCE", "NUMBER", "FROM", "TO", "SUBJECT"},
		120: {"ID", "STATE", "REASON", "AGE", "SOURCE", "NUMBER", "FROM", "TO", "SUBJECT"},
		80:  {"ID", "STATE", "FROM", "TO", "SUBJECT"},
		20:  nil,
	} {
		lines := onTerminal(t, width, "--api", server.URL, "emails", "list")
		require.Len(t, lines, 4)
		if want != nil {
			require.Equal(t, want, strings.Fields(lines[0]), "%d", width)
			require.Contains(t, lines[1], "evt_abcdefghijklmnopqrstuvwxyz", "an id of Mailroom's own is whole")
			require.Contains(t, lines[1], "+11 s")
		}
		for _, line := range lines {
			require.LessOrEqual(t, cellsOf(line), int(width), line)
			require.NotContains(t, strings.Map(func(r rune) rune {
				if unicode.IsPrint(r) {
					return -1
				}
				return '!'
			}, line), "!", line)
		}
	}
}

// onTerminal runs a call whose stdout is a terminal and returns the lines on it.
func onTerminal(t *testing.T, width uint16, words ...string) []string {
	t.Helper()
	keyboard, screen := newTerminal(t, width)
	read := make(chan []string, 1)
	go func() {
		var lines []string
		for scanner := bufio.NewScanner(keyboard); scanner.Scan(); {
			lines = append(lines, strings.TrimRight(scanner.Text(), "\r"))
			if lines[len(lines)-1] == "end" {
				break
			}
		}
		read <- lines
	}()

	var errs strings.Builder
	code := Run(t.Context(), words, strings.NewReader(""), screen, &errs, func(string) string { return "" })
	_, err := screen.WriteString("end\n")
	require.NoError(t, err)
	lines := <-read
	require.Zero(t, code, errs.String())
	return lines[:len(lines)-1]
}

func TestShortenCountsCells(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text  string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"", 0, ""},
	} {
		require.Equal(t, row.want, shorten(row.text, row.limit), "%q %d", row.text, row.limit)
	}
}
