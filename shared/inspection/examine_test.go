package inspection_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/inspection"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
)

const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"

const exe = "MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8\x00\x00\x00\x00\x00\x00\x00\x40"

func examine(t *testing.T, cfg inspection.Config, a mail.Attachment) (mail.Attachment, []contract.Reason) {
	t.Helper()
	e, err := inspection.New(cfg)
	require.NoError(t, err)
	a.Size = int64(len(a.Content))
	got, _, holds, err := e.Begin()(t.Context(), a)
	require.NoError(t, err)
	var reasons []contract.Reason
	for _, h := range holds {
		require.NotEmpty(t, h.Detail)
		reasons = append(reasons, h.Reason)
	}
	return got, reasons
}

func document(t *testing.T, folder string) []byte {
	t.Helper()
	// The name that identifies the type comes after more bytes than a detector reads.
	return scantest.Zip(t,
		scantest.File{Name: "[Content_Types].xml", Content: []byte("<Types/>")},
		scantest.File{Name: "docProps/thumbnail.bin", Content: noise(20_000)},
		scantest.File{Name: folder + "/document.xml", Content: []byte("<w/>")})
}

// noise is content that does not compress.
func noise(n int) []byte {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for want, content := range map[string][]byte{
		"application/x-empty": nil,
		"text/plain":          []byte("hello"),
		"text/html":           []byte("<!DOCTYPE html><html></html>"),
		"image/png":           []byte(png),
		"application/vnd.microsoft.portable-executable": []byte(exe),
		"application/pdf":          []byte("%PDF-1.7\n"),
		"application/zip":          scantest.Zip(t, scantest.File{Name: "a", Content: []byte("a")}),
		"application/x-tar":        scantest.Tar(t, scantest.File{Name: "a", Content: []byte("a")}),
		"application/gzip":         scantest.Gzip(t, []byte("a")),
		"application/octet-stream": {0, 1, 2, 3, 0xff, 0xfe, 0},
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   document(t, "word"),
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         document(t, "xl"),
		"application/vnd.openxmlformats-officedocument.presentationml.presentation": document(t, "ppt"),
	} {
		require.Equal(t, want, inspection.Detect(content))
	}
}

func TestExamineComparesDeclaredAndDetected(t *testing.T) {
	t.Parallel()
	zipped := scantest.Zip(t, scantest.File{Name: "a", Content: []byte("a")})
	page := []byte("<html><script>alert(1)</script></html>")
	for _, tc := range []struct {
		declared string
		content  []byte
		lies     bool
	}{
		{"image/png", []byte(exe), true},
		{"image/png", page, true},
		{"image/png", zipped, true},
		{"application/pdf", zipped, true},
		{"application/pdf", page, true},
		{"text/plain", []byte(exe), true},
		{"text/csv", zipped, true},
		{"application/zip", []byte(exe), true},
		{"application/vnd.ms-excel", []byte(exe), true},
		{"audio/mpeg", []byte("#!/bin/sh\nrm -rf /\n"), true},
		{"IMAGE/PNG; name=\"x.png\"", []byte(exe), true},

		{"image/png", []byte(png), false},
		{"image/jpeg", []byte(png), false},
		{"image/png", []byte("hello"), false},
		{"text/csv", []byte("hello"), false},
		{"text/plain", []byte("a,b\n1,2\n3,4\n"), false},
		{"text/plain; charset=utf-8", page, false},
		{"text/html", page, false},
		{"application/x-zip-compressed", zipped, false},
		{"application/x-msdownload", []byte(exe), false},
		{"application/octet-stream", []byte(exe), false},
		{"", []byte(exe), false},
		{"nonsense", []byte(exe), false},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", document(t, "word"), false},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", zipped, false},
		{"application/vnd.ms-excel", page, false},
		{"image/png", nil, false},
	} {
		name := fmt.Sprintf("%s is %s", tc.declared, inspection.Detect(tc.content))
		_, reasons := examine(t, inspection.Config{}, mail.Attachment{ContentType: tc.declared, DeclaredSize: -1, Content: tc.content})
		if tc.lies {
			require.Equal(t, []contract.Reason{contract.AttachmentMismatch}, reasons, name)
		} else {
			require.Empty(t, reasons, name)
		}
	}
}

func TestExamineSizesAndChecksums(t *testing.T) {
	t.Parallel()
	content := []byte("twelve bytes")
	base := mail.Attachment{Content: content, DeclaredSize: -1, SHA256: "aa"}
	with := func(change func(*mail.Attachment)) mail.Attachment {
		a := base
		change(&a)
		return a
	}
	for name, tc := range map[string]struct {
		a    mail.Attachment
		want []contract.Reason
	}{
		"true size":      {with(func(a *mail.Attachment) { a.DeclaredSize = 12 }), nil},
		"false size":     {with(func(a *mail.Attachment) { a.DeclaredSize = 11 }), []contract.Reason{contract.AttachmentMismatch}},
		"zero size":      {with(func(a *mail.Attachment) { a.DeclaredSize = 0 }), []contract.Reason{contract.AttachmentMismatch}},
		"true checksum":  {with(func(a *mail.Attachment) { a.DeclaredSHA256 = "aa" }), nil},
		"false checksum": {with(func(a *mail.Attachment) { a.DeclaredSHA256 = "bb" }), []contract.Reason{contract.AttachmentMismatch}},
	} {
		_, reasons := examine(t, inspection.Config{MaxSize: 12}, tc.a)
		require.Equal(t, tc.want, reasons, name)
	}
	_, reasons := examine(t, inspection.Config{MaxSize: 11}, base)
	require.Equal(t, []contract.Reason{contract.TooLarge}, reasons)
}

func TestExamineAllowList(t *testing.T) {
	t.Parallel()
	csv := []byte("a,b\n1,2\n3,4\n")
	ole := append([]byte{0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1}, make([]byte, 600)...)
	for _, tc := range []struct {
		allowed  []string
		declared string
		content  []byte
		denied   bool
	}{
		{nil, "", []byte(exe), false},
		{[]string{"*/*"}, "", []byte(exe), false},
		{[]string{"image/*"}, "", []byte(png), false},
		{[]string{"image/*"}, "image/png", []byte("hello"), true},
		{[]string{"image/*"}, "", nil, false},
		{[]string{"image/jpeg", "IMAGE/PNG"}, "", []byte(png), false},
		{[]string{"image/jpeg"}, "image/jpeg", []byte(png), true},
		{[]string{"text/plain"}, "", csv, false},
		{[]string{"text/plain"}, "text/plain", []byte("<html></html>"), true},
		{[]string{"text/csv"}, "text/csv", []byte("one column"), false},
		{[]string{"text/csv"}, "text/plain", []byte("one column"), true},
		{[]string{"application/msword"}, "application/msword", ole, false},
		{[]string{"application/msword"}, "application/octet-stream", ole, true},
		{[]string{"application/zip"}, "", document(t, "word"), true},
		{[]string{"application/x-zip-compressed"}, "", scantest.Zip(t), false},
	} {
		_, reasons := examine(t, inspection.Config{AllowedTypes: tc.allowed},
			mail.Attachment{ContentType: tc.declared, DeclaredSize: -1, Content: tc.content})
		require.Equal(t, tc.denied, len(reasons) == 1 && reasons[0] == contract.TypeDenied, "%v %q: %v", tc.allowed, tc.declared, reasons)
		if !tc.denied {
			require.Empty(t, reasons)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, types := range [][]string{{""}, {"image"}, {"image/"}, {"im*/png"}, {"image/p*"}, {"*/png"}} {
		_, err := inspection.New(inspection.Config{AllowedTypes: types})
		require.Error(t, err, types)
	}
	_, err := inspection.New(inspection.Config{MaxSize: -1})
	require.Error(t, err)
}

func TestExamineArchiveLimits(t *testing.T) {
	t.Parallel()
	file := func(content []byte) scantest.File { return scantest.File{Name: "x", Content: content} }
	zeros := make([]byte, 20<<20)
	many := make([]scantest.File, 11)
	for i := range many {
		many[i] = scantest.File{Name: fmt.Sprint(i)}
	}
	deep := scantest.Zip(t, file([]byte("x")))
	for range 3 {
		deep = scantest.Zip(t, file(deep))
	}
	limits := inspection.Limits{Depth: 3, Entries: 10, Unpacked: 32 << 20, Nested: 1 << 20}
	for name, tc := range map[string]struct {
		content []byte
		final   bool
		held    bool
	}{
		"a plain file":        {[]byte("hello"), false, false},
		"a zip":               {scantest.Zip(t, file([]byte("x"))), false, false},
		"an empty zip":        {scantest.Zip(t), false, false},
		"ten files":           {scantest.Zip(t, many[:10]...), false, false},
		"eleven files":        {scantest.Zip(t, many...), true, true},
		"eleven files in tar": {scantest.Tar(t, many...), true, true},
		"three deep":          {scantest.Zip(t, file(scantest.Gzip(t, scantest.Tar(t, file([]byte("x")))))), false, false},
		"four deep":           {deep, true, true},
		"four deep in gzip":   {scantest.Gzip(t, scantest.Gzip(t, scantest.Gzip(t, scantest.Gzip(t, []byte("x"))))), true, true},
		"ratio of zip":        {scantest.Zip(t, file(zeros)), true, true},
		"ratio of gzip":       {scantest.Gzip(t, zeros), true, true},
		"large nested zip":    {scantest.Gzip(t, scantest.Zip(t, file(noise(1<<20)))), true, true},
		"too much in all":     {scantest.Gzip(t, append(noise(2<<20), zeros...)), false, false},
		"encrypted":           {encrypted(t), false, true},
		"encrypted in tar":    {scantest.Tar(t, file(encrypted(t))), false, true},
		"cut zip":             {scantest.Zip(t, file(noise(5000)))[:3000], false, true},
		"cut gzip":            {scantest.Gzip(t, noise(5000))[:3000], false, true},
		"bad checksum":        {badChecksum(t), false, true},
		"unknown method":      {unknownMethod(t), false, true},
		"rar":                 {[]byte("Rar!\x1a\x07\x01\x00 and more"), false, true},
		"7z":                  {[]byte("7z\xbc\xaf\x27\x1c and more"), false, false}, // clamd's to open
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, reasons := examine(t, inspection.Config{Limits: limits}, mail.Attachment{DeclaredSize: -1, Content: tc.content})
			if !tc.held {
				require.Empty(t, reasons, a.Signature)
				return
			}
			require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
			require.NotEmpty(t, a.Signature)
			require.Equal(t, tc.final, a.Verdict == mail.Unscannable, "final")
		})
	}
}

func TestExamineUnpackedLimit(t *testing.T) {
	t.Parallel()
	limits := inspection.Limits{Unpacked: 1 << 20}
	content := scantest.Zip(t, scantest.File{Name: "a", Content: noise(600 << 10)}, scantest.File{Name: "b", Content: noise(600 << 10)})
	a, reasons := examine(t, inspection.Config{Limits: limits}, mail.Attachment{DeclaredSize: -1, Content: content})
	require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
	require.Equal(t, "unpacks to more than 1048576 bytes", a.Signature)
	require.Equal(t, mail.Unscannable, a.Verdict)
}

// TestExamineBombs: archives of many layers end quickly at a limit.
func TestExamineBombs(t *testing.T) {
	t.Parallel()
	layer := scantest.Zip(t, scantest.File{Name: "0", Content: make([]byte, 4<<20)})
	for range 5 {
		files := make([]scantest.File, 16)
		for i := range files {
			files[i] = scantest.File{Name: fmt.Sprint(i), Content: layer}
		}
		layer = scantest.Zip(t, files...)
	}
	for name, content := range map[string][]byte{"zips in zips": layer, "sparse tar": sparseTar(), "directory": directory(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			a, reasons := examine(t, inspection.Config{}, mail.Attachment{DeclaredSize: -1, Content: content})
			require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
			require.Equal(t, mail.Unscannable, a.Verdict, a.Signature)
			require.Less(t, time.Since(start), 30*time.Second)
		})
	}
}

func TestExamineStopsWithItsContext(t *testing.T) {
	t.Parallel()
	e, err := inspection.New(inspection.Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _, err = e.Begin()(ctx, mail.Attachment{DeclaredSize: -1, Content: scantest.Gzip(t, []byte("hello"))})
	require.ErrorIs(t, err, context.Canceled)
}

// TestExamineQuotesNothing: no text repeats what a sender wrote.
func TestExamineQuotesNothing(t *testing.T) {
	t.Parallel()
	e, err := inspection.New(inspection.Config{AllowedTypes: []string{"image/png"}, MaxSize: 1})
	require.NoError(t, err)
	zipped := scantest.Zip(t, scantest.File{Name: "canary.txt", Content: []byte("canary")})
	for _, content := range [][]byte{zipped, []byte(exe)} {
		for _, declared := range []string{"image/png; name=canary", "canary", "canary/canary", "text/canary"} {
			a, _, holds, err := e.Begin()(t.Context(), mail.Attachment{
				Filename: "canary.zip", ContentType: declared, DeclaredSize: -1, Content: content, Size: int64(len(content)),
			})
			require.NoError(t, err)
			require.NotEmpty(t, holds)
			require.NotContains(t, fmt.Sprint(holds, a.Signature, a.DetectedType), "canary")
		}
	}
}

func badChecksum(t *testing.T) []byte {
	t.Helper()
	content := scantest.Zip(t, scantest.File{Name: "a", Content: []byte("hello hello hello")})
	content[bytes.Index(content, []byte("PK\x01\x02"))+16] ^= 0xff
	return content
}

func unknownMethod(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	fw, err := w.CreateRaw(&zip.FileHeader{Name: "a", Method: 14, CompressedSize64: 3, UncompressedSize64: 9})
	require.NoError(t, err)
	_, err = io.Copy(fw, strings.NewReader("abc"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// directory is a zip whose directory alone would take far more memory than the mail.
func directory(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range 20_000 {
		_, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%x", i)})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// sparseTar is one old GNU sparse file of 4 GiB in 2 KiB (tar(5), "GNU tar archives").
func sparseTar() []byte {
	h := make([]byte, 512)
	copy(h, "sparse")
	copy(h[100:], "0000600\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], "00000000000\x00")
	copy(h[136:], "00000000000\x00")
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	copy(h[386:], "40000000000\x00") // one empty fragment at the end
	copy(h[398:], "00000000000\x00")
	copy(h[483:], "40000000000\x00")
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(h, make([]byte, 1024)...)
}
