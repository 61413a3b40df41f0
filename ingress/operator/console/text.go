package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// show makes text from a mail safe to read: what changes the direction of text,
// hides or breaks lines is written as its code point, so that "fdp.exe" is never read
// as "exe.pdf". Joiners stay, because scripts and emoji need them.
func show(s string) string { return visible(s, false) }

// showLines is show for text of several lines, whose line ends and tabs stay.
func showLines(s string) string {
	return visible(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), true)
}

func visible(s string, lines bool) string {
	var out strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, "‹%02X›", s[0])
		case lines && (r == '\n' || r == '\t'), r == '\u200c', r == '\u200d':
			out.WriteRune(r)
		case unicode.IsSpace(r) && r != '\u2028' && r != '\u2029' && r != '\u0085' && !unicode.IsControl(r):
			out.WriteRune(r)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			fmt.Fprintf(&out, "‹U+%04X›", r)
		}
		s = s[size:]
	}

	return out.String()
}

// cut shortens text to n characters.
func cut(n int, s string) string {
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}

// address lets a line break in an address or a media type after "@" and "/" and before dots,
// before it breaks inside a word.
func address(s string) template.HTML {
	breaks := strings.NewReplacer("@", "@<wbr>", "/", "/<wbr>", ".", "<wbr>.")
	return template.HTML(breaks.Replace(template.HTMLEscapeString(s))) //nolint:gosec // G203: it is escaped before
}

// span writes a duration in its largest unit or two.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}

	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// count writes a number in groups of three digits.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// stamp writes a time to the second.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// words turns a name of ours, such as mime_malformed, into words.
func words(s string) string {
	s = strings.ReplaceAll(s, "_", " ")
	s = strings.Replace(s, "mime", "MIME", 1)
	if strings.HasPrefix(s, "id ") {
		return "ID" + s[2:]
	}
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
