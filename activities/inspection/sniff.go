package inspection

import (
	"bytes"
	"strconv"
)

// sniffLen is how many leading bytes tell archives apart: one tar header.
const sniffLen = 512

// kind is how a stream is packed, as far as walking it goes.
type kind int

const (
	noArchive kind = iota
	zipArchive
	tarArchive
	gzipStream
	bzip2Stream
	opaqueArchive // packed, and nothing here can unpack it
)

// sniff tells how the stream that begins with head is packed.
func sniff(head []byte) kind {
	magics := []struct {
		magic string
		kind  kind
	}{
		{"PK\x03\x04", zipArchive},
		{"PK\x05\x06", zipArchive}, // without entries
		{"PK\x07\x08", zipArchive}, // one of several volumes
		{"\x1f\x8b", gzipStream},
		{"BZh", bzip2Stream},
		{"Rar!\x1a\x07", opaqueArchive},
		{"7z\xbc\xaf\x27\x1c", opaqueArchive},
		{"\xfd7zXZ\x00", opaqueArchive},
		{"\x28\xb5\x2f\xfd", opaqueArchive}, // zstd
		{"MSCF", opaqueArchive},             // cab
		{"LZIP", opaqueArchive},
		{"\x1f\x9d", opaqueArchive}, // compress
		{"xar!", opaqueArchive},
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			if m.kind == bzip2Stream && !isBzip2(head) {
				return noArchive
			}
			return m.kind
		}
	}
	if isTar(head) {
		return tarArchive
	}
	return noArchive
}

// isBzip2 looks past the three letters, with which a text may begin as well.
func isBzip2(head []byte) bool {
	return len(head) >= 10 && head[3] >= '1' && head[3] <= '9' &&
		(bytes.Equal(head[4:10], []byte("1AY&SY")) || bytes.Equal(head[4:10], []byte("\x17\x72\x45\x38\x50\x90")))
}

// isTar checks the header's sum, which every dialect has (POSIX.1-2017, pax,
// "ustar Interchange Format"): the sum of its bytes with the field itself blank.
func isTar(head []byte) bool {
	const from, to = 148, 156
	if len(head) < sniffLen {
		return false
	}
	want, err := strconv.ParseInt(string(bytes.Trim(head[from:to], " \x00")), 8, 64)
	if err != nil || head[0] == 0 {
		return false
	}
	var sum, signed int64
	for i, c := range head[:sniffLen] {
		if i >= from && i < to {
			c = ' '
		}
		sum += int64(c)
		signed += int64(int8(c)) // as some old writers summed
	}
	return want == sum || want == signed
}
