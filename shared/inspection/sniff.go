package inspection

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
)

// sniffLen is the number of leading bytes by which archives are recognised: one tar
// header.
const sniffLen = 512

// kind is how a stream is packed, as far as the walk needs to know.
type kind int

const (
	noArchive kind = iota
	zipArchive
	tarArchive
	gzipStream
	bzip2Stream
	opaqueArchive // only clamd can unpack it
	closedArchive // neither clamd nor this package can unpack it
)

// sniff returns how the stream that begins with head is packed.
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
		{"Rar!\x1a\x07", closedArchive},
		{"7z\xbc\xaf\x27\x1c", opaqueArchive},
		{"\xfd7zXZ\x00", opaqueArchive},
		{"\x28\xb5\x2f\xfd", closedArchive}, // zstd
		{"MSCF", opaqueArchive},             // cab
		{"LZIP", closedArchive},
		{"\x1f\x9d", closedArchive}, // compress
		{"xar!", closedArchive},
		{"\x04\x22\x4d\x18", closedArchive},  // lz4
		{"\x02\x21\x4c\x18", closedArchive},  // old lz4
		{"!<arch>\n", closedArchive},         // ar, deb
		{"MSWIM\x00\x00\x00", closedArchive}, // images that Windows opens like a folder
		{"vhdxfile", closedArchive},
		{"conectix", closedArchive},
	}

	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			if m.kind == bzip2Stream && !isBzip2(head) {
				return noArchive
			}
			return m.kind
		}
	}

	switch {
	case isTar(head):
		return tarArchive
	case hasAt(head, 7, "**ACE**"), hasAt(head, 20, "\xdc\xa7\xc4\xfd"), isCompressedCMS(head): // the second: zoo
		return closedArchive
	case isLZMA(head), len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18": // zstd, RFC 8878 §3.1.2
		return closedArchive
	}

	return noArchive
}

// hasAt reports whether head has a magic at an offset.
func hasAt(head []byte, offset int, magic string) bool {
	return len(head) > offset && bytes.HasPrefix(head[offset:], []byte(magic))
}

// isBzip2 checks more than the first three letters: a text may begin with them too.
func isBzip2(head []byte) bool {
	return len(head) >= 10 && head[3] >= '1' && head[3] <= '9' &&
		(bytes.Equal(head[4:10], []byte("1AY&SY")) || bytes.Equal(head[4:10], []byte("\x17\x72\x45\x38\x50\x90")))
}

// isTar checks the checksum of the header, which every variant has (POSIX.1-2017, pax,
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
		signed += int64(int8(c)) // some old programs summed signed bytes
	}
	return want == sum || want == signed
}

// isLZMA checks the header of a .lzma file, which has no magic number (xz-5.4,
// doc/lzma-file-format.txt §1.1): properties, the size of the dictionary, which is
// always 2^n or 2^n + 2^(n-1), and the size of the content or -1.
func isLZMA(head []byte) bool {
	if len(head) < 13 || head[0] > 224 {
		return false
	}
	dictionary, size := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint64(head[5:])
	top := bits.Len32(dictionary) - 1
	if top < 12 || bits.OnesCount32(dictionary) > 2 && dictionary != 1<<32-1 ||
		bits.OnesCount32(dictionary) == 2 && dictionary&(1<<(top-1)) == 0 {
		return false
	}
	const usual = 0x5d // other properties are rare and accepted only with size -1
	return size == 1<<64-1 || head[0] == usual && size > 0 && size < 1<<38
}

// isCompressedCMS looks for the type of a CMS message (RFC 3274 §1.1) after the tag and
// the length of its sequence.
func isCompressedCMS(head []byte) bool {
	const compressedData = "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09"
	const longest = 10 // bytes of tag and length
	return len(head) > 0 && head[0] == 0x30 && bytes.Contains(head[:min(len(head), longest+len(compressedData))], []byte(compressedData))
}
