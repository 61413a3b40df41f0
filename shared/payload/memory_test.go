package payload

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// long returns a body with n bytes of filling that are generated while read.
func long(prefix, filling string, n int, suffix string) io.Reader {
	return io.MultiReader(strings.NewReader(prefix), io.LimitReader(&endless{text: filling}, int64(n)), strings.NewReader(suffix))
}

type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(p), nil
}

func TestPeekHoldsNothingOfLongBodies(t *testing.T) { // not parallel: it counts allocated bytes
	for name, c := range map[string]struct {
		prefix, filling, suffix string
		refused                 string
	}{
		"base64":            {`{"event_id":"a","attachments":[{"content_base64":"`, "QUJD", `"}]}`, ""},
		"escaped base64":    {`{"event_id":"a","raw_mime_base64":"`, `QUJDRE9\/`, `"}`, ""},
		"text":              {`{"event_id":"a","text":"`, `é\u0041`, `"}`, ""},
		"unknown text":      {`{"event_id":"a","x":{"y":["`, "x", `"]}}`, ""},
		"unknown number":    {`{"event_id":"a","x":1`, "0", `}`, ""},
		"unknown list":      {`{"event_id":"a","x":[`, "[], ", `[]]}`, ""},
		"white space":       {`{"event_id":"a","x":[`, " ", `]}`, ""},
		"white space after": {`{"event_id":"a"}`, "\n", ``, ""},
		"id":                {`{"event_id":"`, "a", `"}`, "event_id_invalid"},
		"address":           {`{"event_id":"a","to":[{"address":"`, "a", `"}]}`, ""},
		"escaped address":   {`{"event_id":"a","to":[{"address":"`, `\u0061`, `"}]}`, ""},
		"name":              {`{"event_id":"a","`, "a", `":1}`, ""},
		"size":              {`{"event_id":"a","attachments":[{"size":1`, "0", `}]}`, ""},
		"depth":             {`{"event_id":"a","x":`, "[", ``, "json_malformed"},
		"depth of objects":  {`{"event_id":"a","x":`, `{"a":`, ``, "json_malformed"},
		"recipients":        {`{"event_id":"a","to":[`, `"a@b.example",`, `""]}`, ""},
		"tiny recipients":   {`{"event_id":"a","to":[`, `"a",`, `""]}`, ""},
		"wrong recipients":  {`{"event_id":"a","to":[`, `1,`, `""]}`, ""},
		"headers":           {`{"event_id":"a","headers":{"a":[`, `"",`, `""]}}`, ""},
		"deep values":       {`{"event_id":"a","x":` + strings.Repeat("[", MaxDepth-1), `[],`, "7" + strings.Repeat("]", MaxDepth-1) + `}`, ""},
	} {
		size := 2 << 20
		if name == "base64" {
			size = 20 << 20
		}
		length := size / len(c.filling) * len(c.filling)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Peek(long(c.prefix, c.filling, length, c.suffix), Options{})
		runtime.ReadMemStats(&after)
		if c.refused == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.refused, name)
		}
		limit := uint64(512 << 10)
		if strings.Contains(name, "recipients") || strings.Contains(name, "depth") {
			limit = 3 << 20
		}
		require.Less(t, after.TotalAlloc-before.TotalAlloc, limit, name)
	}
}

// TestHostileBodiesAreReadInOnePass: nothing that a sender nests or repeats makes Peek
// read a large body more than once, or recurse for each level.
func TestHostileBodiesAreReadInOnePass(t *testing.T) { // not parallel: it measures time
	const size = 8 << 20
	for name, c := range map[string]struct{ prefix, filling, suffix string }{
		"arrays":        {`{"event_id":"a","x":`, "[", ""},
		"objects":       {`{"event_id":"a","x":`, `{"a":`, ""},
		"both":          {`{"event_id":"a","x":`, `[{"":`, ""},
		"recipients":    {`{"event_id":"a","to":[`, `"a",`, `"a"]}`},
		"wrong ones":    {`{"event_id":"a","to":[`, `{},`, `"a"]}`},
		"escapes":       {`{"event_id":"a","to":["`, `\"`, `"]}`},
		"empty objects": {`{"event_id":"a","x":[`, `{},`, `7]}`},
	} {
		length := size / len(c.filling) * len(c.filling)
		began := time.Now()
		head, err := Peek(long(c.prefix, c.filling, length, c.suffix), Options{})
		took := time.Since(began)
		if c.suffix == "" {
			require.ErrorContains(t, err, "json_malformed", name) // it is never closed
		} else {
			require.NoError(t, err, name)
			require.Equal(t, "a", head.ID, name)
		}
		require.Less(t, took, 30*time.Second, name) // on a busy machine; otherwise a tenth of a second
	}
}

func TestDecodeCopiesContentOnce(t *testing.T) { // not parallel: it counts allocated bytes
	const size = 4 << 20
	for name, filling := range map[string]string{"plain": "QUJD", "escaped": `QUJDRE9\/`} {
		body, err := io.ReadAll(long(`{"event_id":"a","attachments":[{"content_base64":"`, filling, size/len(filling)*len(filling), `"}]}`))
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e, err := Decode(body, Options{})
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.NotEmpty(t, e.Attachments[0].Content)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*len(body)), name)
	}
}

func typical() []byte {
	return fmt.Appendf(nil, `{"event_id":"evt_0001","timestamp":"2026-11-02T09:15:00Z","type":"email.received","mailbox":"support@yourapp.example",
"envelope":{"mail_from":"jane@sender.example","rcpt_to":["support@yourapp.example"]},
"sender":[{"address":"jane@sender.example","name":"Jane Doe"}],"recipient":[{"address":"support@yourapp.example"}],
"subject":"Printer on the third floor","text":%q,"attachments":[{"filename":"a.txt","content_type":"text/plain","size":3,"content_base64":"YWJj"}],
"auth":{"spf":"pass","dkim":"pass","dmarc":"pass"},"headers":{"message-id":"<m1@sender.example>","date":"Mon, 2 Nov 2026 10:14:59 +0100"}}`,
		strings.Repeat("The printer shows error 50.4 again. ", 95))
}

func BenchmarkPeek4KB(b *testing.B) {
	body := typical()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Peek(bytes.NewReader(body), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeek20MB(b *testing.B) {
	body := []byte(`{"event_id":"a","raw_mime_base64":"` + strings.Repeat("QUJD", 5<<20) + `"}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Peek(bytes.NewReader(body), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode4KB(b *testing.B) {
	body := typical()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
