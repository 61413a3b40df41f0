package inspection_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/inspection"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
)

func zipOf(t *testing.T, content []byte) []byte {
	t.Helper()
	return scantest.Zip(t, scantest.File{Name: "x", Content: content})
}

// TestZipBehindAPrefixIsWalked: a zip is read from its end, whatever it begins with.
func TestZipBehindAPrefixIsWalked(t *testing.T) {
	t.Parallel()
	comment := append(encrypted(t), make([]byte, 60<<10)...)
	for name, content := range map[string][]byte{
		"jpeg":            append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), encrypted(t)...),
		"gif":             append([]byte("GIF89a\x01\x00\x01\x00"), encrypted(t)...),
		"pdf":             append([]byte("%PDF-1.7\n"), encrypted(t)...),
		"long prefix":     append(noise(1<<20), encrypted(t)...),
		"something after": append([]byte("GIF89a"), comment...),
		"in a zip":        zipOf(t, append([]byte("GIF89a"), encrypted(t)...)),
		"behind a tar":    append(scantest.Tar(t, scantest.File{Name: "x"}), encrypted(t)...),
		"7z":              append([]byte("7z\xbc\xaf\x27\x1c"), encrypted(t)...),
		"bomb":            append([]byte("GIF89a"), zipOf(t, make([]byte, 20<<20))...),
		"message":         append([]byte("Content-Type: text/plain\r\n\r\n"), encrypted(t)...),
	} {
		_, reasons := examine(t, inspection.Config{}, mail.Attachment{DeclaredSize: -1, Content: content})
		require.Equal(t, []contract.Reason{contract.Unscannable}, reasons, name)
	}
	for name, content := range map[string][]byte{
		"clean zip":     append([]byte("GIF89a"), zipOf(t, []byte("x"))...),
		"empty zip":     append([]byte("GIF89a"), scantest.Zip(t)...),
		"the signature": []byte("GIF89a PK\x05\x06 and more that is no directory"),
	} {
		_, reasons := examine(t, inspection.Config{}, mail.Attachment{DeclaredSize: -1, Content: content})
		require.Empty(t, reasons, name)
	}
	s := inspection.NewBuiltIn(inspection.Limits{})
	hidden := append([]byte("GIF89a"), zipOf(t, append(noise(99), scantest.EICAR()...))...)
	verdict, _, err := s.Scan(t.Context(), bytes.NewReader(hidden))
	require.NoError(t, err)
	require.Equal(t, mail.Infected, verdict)
}

// TestZipBehindALargeFileInAnArchiveIsHeld: a zip is recognised by the end of a file
// even if the file is too large to be kept in memory.
func TestZipBehindALargeFileInAnArchiveIsHeld(t *testing.T) {
	t.Parallel()
	content := scantest.Gzip(t, append(noise(1<<20), encrypted(t)...))
	a, reasons := examine(t, inspection.Config{Limits: inspection.Limits{Nested: 64 << 10}}, mail.Attachment{DeclaredSize: -1, Content: content})
	require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
	require.Equal(t, "holds zips or messages of more than 65536 bytes", a.Signature)
}

// TestClosedArchivesAreHeldWithAnyScanner: what neither clamd nor this package opens is
// never clean.
func TestClosedArchivesAreHeldWithAnyScanner(t *testing.T) {
	t.Parallel()
	s := inspection.NewBuiltIn(inspection.Limits{})
	for name, magic := range map[string]string{
		"zstd": "\x28\xb5\x2f\xfd", "zstd skippable": "\x51\x2a\x4d\x18", "lzip": "LZIP", "compress": "\x1f\x9d",
		"rar": "Rar!\x1a\x07", "xar": "xar!", "lz4": "\x04\x22\x4d\x18", "ar": "!<arch>\n", "wim": "MSWIM\x00\x00\x00",
		"vhdx": "vhdxfile", "vhd": "conectix", "ace": "\x01\x02\x31\x00\x00\x00\x90**ACE**", "zoo": "ZOO 2.10 Archive.\x1a\x00\x00\xdc\xa7\xc4\xfd",
		"cms":         "\x30\x82\x01\x00\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09",
		"lzma":        "\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff",
		"lzma sized":  "\x5d\x00\x00\x01\x00\x10\x27\x00\x00\x00\x00\x00\x00",
		"lzma lc0":    "\x5a\x00\x00\x03\x00\xff\xff\xff\xff\xff\xff\xff\xff",
		"7z (theirs)": "7z\xbc\xaf\x27\x1c", "xz (theirs)": "\xfd7zXZ\x00", "cab (theirs)": "MSCF",
	} {
		for _, content := range [][]byte{append([]byte(magic), " and more"...), zipOf(t, append([]byte(magic), noise(50)...))} {
			a, reasons := examine(t, inspection.Config{}, mail.Attachment{DeclaredSize: -1, Content: content})
			if bytes.Contains([]byte(name), []byte("theirs")) {
				require.Empty(t, reasons, name)
			} else {
				require.Equal(t, []contract.Reason{contract.Unscannable}, reasons, name)
				require.Equal(t, "is or holds an archive of a format that is not opened here", a.Signature)
			}
			verdict, _, err := s.Scan(t.Context(), bytes.NewReader(content))
			require.NoError(t, err)
			require.Equal(t, mail.Unscannable, verdict, name)
		}
	}
}

func TestAttachmentsOfAMailShareTheLimits(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]inspection.Limits{"bytes": {Unpacked: 1 << 20}, "files": {Entries: 2}} {
		e, err := inspection.New(inspection.Config{Limits: limits})
		require.NoError(t, err)
		look := e.Begin()
		for i := range 4 {
			content := zipOf(t, append(noise(400<<10), byte(i)))
			a, _, _, err := look(t.Context(), mail.Attachment{SHA256: fmt.Sprint(i), DeclaredSize: -1, Content: content})
			require.NoError(t, err)
			require.Equal(t, i >= 2, a.Verdict == mail.Unscannable, "%s: %d: %s", name, i, a.Signature)
		}
		a, _, _, err := e.Begin()(t.Context(), mail.Attachment{DeclaredSize: -1, Content: zipOf(t, noise(400<<10))})
		require.NoError(t, err)
		require.Empty(t, a.Verdict, "another mail")
	}
}

func TestSameBytesAreWalkedOnce(t *testing.T) {
	t.Parallel()
	e, err := inspection.New(inspection.Config{Limits: inspection.Limits{Entries: 2}})
	require.NoError(t, err)
	look := e.Begin()
	for range 10 {
		a, _, holds, err := look(t.Context(), mail.Attachment{SHA256: "same", DeclaredSize: -1, Content: encrypted(t)})
		require.NoError(t, err)
		require.Equal(t, "holds encrypted files", a.Signature)
		require.Len(t, holds, 1)
	}
}

func TestNestedIsABudgetOfTheWholeWalk(t *testing.T) {
	t.Parallel()
	cfg := inspection.Config{Limits: inspection.Limits{Nested: 1 << 20}}
	inner := zipOf(t, noise(600<<10))
	side := scantest.Zip(t, scantest.File{Name: "a", Content: inner}, scantest.File{Name: "b", Content: inner})
	_, reasons := examine(t, cfg, mail.Attachment{DeclaredSize: -1, Content: side})
	require.Empty(t, reasons, "one after the other")
	a, reasons := examine(t, cfg, mail.Attachment{DeclaredSize: -1, Content: zipOf(t, zipOf(t, inner))})
	require.Equal(t, []contract.Reason{contract.Unscannable}, reasons, "one inside the other")
	require.Equal(t, "holds zips or messages of more than 1048576 bytes", a.Signature)
}

// message is an attached mail with an unusual beginning.
func message(content []byte) []byte {
	return fmt.Appendf(nil, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"+
		"--b\r\nContent-Type: application/octet-stream; name=x\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n",
		base64.StdEncoding.EncodeToString(content))
}

func TestAttachedMessageIsLookedInto(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]mail.Attachment{
		"declared":  {ContentType: "message/rfc822; x=y", Content: append([]byte("X-A: b\r\n"), message(encrypted(t))...)},
		"named":     {Filename: "a.EML", Content: append([]byte("X-A: b\r\n"), message(encrypted(t))...)},
		"detected":  {Content: message(encrypted(t))},
		"nested":    {Content: message(message(encrypted(t)))},
		"zipped":    {Content: scantest.Zip(t, scantest.File{Name: "a.eml", Content: append([]byte("X-A: b\r\n"), message(encrypted(t))...)})},
		"malformed": {Filename: "a.eml", Content: bytes.Repeat([]byte("X-A: b\r\n"), 2000)},
	} {
		a.DeclaredSize = -1
		_, reasons := examine(t, inspection.Config{}, a)
		require.Equal(t, []contract.Reason{contract.Unscannable}, reasons, name)
	}
	for name, a := range map[string]mail.Attachment{
		"clean":           {Content: message([]byte("x"))},
		"delivery status": {ContentType: "message/delivery-status", Content: []byte("Reporting-MTA: dns; a\r\n\r\nFinal-Recipient: rfc822; b@c\r\nAction: failed\r\n")},
		"nothing":         {ContentType: "message/rfc822"},
	} {
		a.DeclaredSize = -1
		_, reasons := examine(t, inspection.Config{}, a)
		require.Empty(t, reasons, name)
	}
	a, reasons := examine(t, inspection.Config{Limits: inspection.Limits{Nested: 1 << 20}}, mail.Attachment{DeclaredSize: -1, Content: message(noise(1 << 20))})
	require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
	require.Equal(t, mail.Unscannable, a.Verdict)
}

func TestAttachedMessageGivesItsPartsOnce(t *testing.T) {
	t.Parallel()
	e, err := inspection.New(inspection.Config{})
	require.NoError(t, err)
	look := e.Begin()
	a := mail.Attachment{SHA256: "a", DeclaredSize: -1, Content: message(message(scantest.EICAR()))}
	_, inner, _, err := look(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("hello"), message(scantest.EICAR()), []byte("hello"), scantest.EICAR()}, inner)
	_, inner, _, err = look(t.Context(), a)
	require.NoError(t, err)
	require.Empty(t, inner)
}
