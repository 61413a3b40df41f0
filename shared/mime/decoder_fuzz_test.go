package mime

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mime/mimetest"
)

// FuzzBase64 compares with the standard library, which refuses more, and checks that
// content encoded in padded pieces is decoded whole.
func FuzzBase64(f *testing.F) {
	for _, s := range []string{"", "QQ==", "QUI=QUJD", "Q=U=", "====", "QUJD\r\n____\r\nQUJD", "QQ==\nlist footer\n", "A", "=QUJD", "QU\x00JD"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		got, _ := decodeBase64(body)
		require.LessOrEqual(t, len(got), len(body))
		require.LessOrEqual(t, len(decodeBase64All(body)), len(body))
		if want, err := base64.StdEncoding.DecodeString(string(body)); err == nil {
			require.Equal(t, string(want), string(got))
		}
		size = max(1, min(size, len(body)))
		var pieces strings.Builder
		for rest := body; len(rest) > 0; {
			piece := rest[:min(size, len(rest))]
			pieces.WriteString(base64.StdEncoding.EncodeToString(piece) + "\r\n")
			rest = rest[len(piece):]
		}
		got, met := decodeBase64([]byte(pieces.String()))
		require.Equal(t, string(body), string(got))
		require.Empty(t, met.rest)
		got, _ = decodeBase64([]byte(base64.RawStdEncoding.EncodeToString(body)))
		require.Equal(t, string(body), string(got))
	})
}

// FuzzUuencode decodes any input, and decodes encoded content to the original.
func FuzzUuencode(f *testing.F) {
	for _, s := range []string{"", "abc", "begin 644 x\n#0V%T\n`\nend\n", "begin 644 x\n#0V", "begin-base64 644 x\nQUJD\n====\n", "begin 644 \xff\n", "#0V%T"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		content, _, _ := decodeUU(body)
		require.LessOrEqual(t, len(content), uuBound(len(body))+64)
		left, files := extractUU(body)
		require.LessOrEqual(t, len(left), len(body))
		for _, file := range files {
			require.NotEmpty(t, file.content)
		}
		encoded := []byte("some text\r\n" + mimetest.Uuencode("a b.zip", body))
		content, name, damaged := decodeUU(encoded)
		if len(body) > 0 {
			require.Equal(t, string(body), string(content))
			require.Equal(t, "a b.zip", name)
			require.False(t, damaged)
			left, files = extractUU(encoded)
			require.Equal(t, "some text\r\n", string(left))
			require.Len(t, files, 1)
		}
	})
}

// FuzzUTF7 decodes any input, and does not change ASCII without a plus.
func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"", "+", "+-", "+ANw-ber", "+2D3eAA-", "+2D0-", "+3gA", "a+AAA-b", "+////", "\xff+\xff", "Hi Mom -+Jjo--!"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := decodeUTF7(b)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, len(got), 3*len(b))
		if ascii(b) && !bytes.ContainsRune(b, '+') {
			require.Equal(t, string(b), got)
		}
	})
}

// FuzzUTF16 decodes any input, in each byte order.
func FuzzUTF16(f *testing.F) {
	for _, s := range []string{"", "\xff", "\xff\xfea\x00", "\xfe\xff\x00a", "\xd8\x00", "\xdc\x00\xd8\x00", "a\x00b\x00c\x00d\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, got := range []string{decodeUTF16(b, false, false), decodeUTF16(b, true, false), decodeUTF16(b, false, true)} {
			require.True(t, utf8.ValidString(got))
			require.LessOrEqual(t, len(got), 3*len(b)+3)
		}
		text, _ := toText(b, "", len(b)%2 == 0)
		require.True(t, utf8.ValidString(text))
	})
}

// FuzzParameters parses any input, and parses a quoted value to the original.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{
		"multipart/mixed; boundary=b", "a/b; name=\"x\\\"y\"; z", "a/b; name*0*=utf-8'en'%C3; name*1*=%BC; name*2=\"x\"", "a / b (c (d) ) ; e = f g=h",
		"a/b; x=\"", "\\\"\\\"\\\"", "((((", ";;;==\"\"", "\"a\"/\"b\"; name=\"a\"b\"c\"", "text/plain charset=utf-8, x", "a/b; name*99999999999999999999=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, whole := readMedia(value)
		require.LessOrEqual(t, len(m.params), MaxParams)
		require.True(t, whole || len(m.params) == MaxParams)
		for _, p := range m.params {
			require.NotEmpty(t, p.name)
			got, _, _ := m.get(p.name)
			require.LessOrEqual(t, len(got), len(value))
		}
		e := entity{types: []media{m}, fields: []field{{name: "Content-Type", value: value}}}
		for _, b := range e.boundaries() {
			require.NotEmpty(t, b)
		}
		if !strings.ContainsAny(value, "\x00\r\n") {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
			m, _ = readMedia("a/b; name=\"" + quoted + "\"; other=x")
			got, _, ok := m.get("name")
			require.True(t, ok)
			require.Equal(t, value, got)
			got, _, _ = m.get("other")
			require.Equal(t, "x", got)
		}
	})
}

// FuzzHeader unfolds any input; every byte is in the fields, in the body or in a dropped
// line.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"A: b\r\n c\r\n\r\nbody", "A: b\n \nC: d\n\nbody", "Content-Type: a/b;\nname=c\nX-A: b\n\n", "A: b\rC: d\r\rbody", "stray\nSubject: x\n\n", " A: b\n", "A\x00: b\n",
		"Content-Type: multipart/mixed; boundary=b\n--b\n\nx", "To: a@b,\nc@d\n\n", "A: b\r\r\nC: d\r\r\n\r\r\nbody",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, root bool) {
		tree := newTree(len(raw))
		fields, body := tree.readHeader(raw, root)
		require.LessOrEqual(t, len(fields), MaxFields+maxBeyond)
		require.True(t, bytes.HasSuffix(raw, body))
		size := len(body)
		for _, field := range fields {
			require.NotEmpty(t, field.name)
			require.NotContains(t, field.value, "\n")
			size += len(field.name) + len(field.value)
		}
		require.LessOrEqual(t, size, len(raw))
	})
}

// FuzzAddresses parses any input, and parses a well-formed list to the original.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{
		"a@b.example", "Doe, Jane <a@b.example>, c@d.example", "\"Doe, Jane\" <a@b.example>", "x: a@b.example, c@d.example;", "<<a@b>>", "\"", "(", "<", ",;,;",
		"=?utf-8?Q?Doe,_Jane?= <a@b.example>", "\uFDD00\uFDD1 <a@b.example>", "a@b c@d", "undisclosed-recipients:;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := collector{t: newTree(0)}
		for _, a := range c.addressList(value) {
			require.True(t, utf8.ValidString(a.Name) && utf8.ValidString(a.Address))
			require.NotContains(t, a.Name+a.Address, "\x00")
			require.NotEmpty(t, a.Address)
		}
		list := c.addressList("Doe, Jane <one@a.example>, two@a.example")
		require.Len(t, list, 2)
	})
}
