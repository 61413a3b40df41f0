// Package filename makes file names chosen by senders safe to store, to display and to
// write to a disk.
//
// Invariants: a cleaned name is never empty, is valid UTF-8 of at most MaxBytes
// bytes, has no path separator, no control or direction-changing character, no
// leading dot, no trailing dot or space, and is no device name of Windows. Cleaning is
// idempotent.
//
// Read next: package mime and package payload, which clean the names of attachments.
package filename

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBytes is the length of the longest cleaned name, the limit of most file systems.
const MaxBytes = 255

// maxExt is the length in bytes of the longest extension that truncation keeps.
const maxExt = 32

// Clean returns the safe form of name. If nothing of name is left, it returns
// "attachment" with the extension of contentType, a media type without parameters, or
// ".bin" if that is unknown or empty.
func Clean(name, contentType string) string {
	name = strings.Join(strings.Fields(strings.Map(cleanRune, base(name))), " ")
	name = trim(name)
	if name == "" {
		return "attachment" + Extension(contentType)
	}
	if reserved(name) {
		name = "_" + name
	}
	return truncate(name)
}

// Extension returns the usual extension of a media type with its dot, ".bin" if the type
// is unknown. It does not depend on the tables of the machine.
func Extension(contentType string) string {
	switch strings.ToLower(strings.TrimSpace(contentType)) {
	case "application/pdf":
		return ".pdf"
	case "application/zip", "application/x-zip-compressed":
		return ".zip"
	case "application/gzip":
		return ".gz"
	case "application/json":
		return ".json"
	case "application/xml", "text/xml":
		return ".xml"
	case "application/rtf", "text/rtf":
		return ".rtf"
	case "application/pgp-signature":
		return ".asc"
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return ".p7s"
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return ".p7m"
	case "application/msword":
		return ".doc"
	case "application/vnd.ms-excel":
		return ".xls"
	case "application/vnd.ms-powerpoint":
		return ".ppt"
	case "application/vnd.openxmlformats-officedocument.wordprocessingml.document":
		return ".docx"
	case "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":
		return ".xlsx"
	case "application/vnd.openxmlformats-officedocument.presentationml.presentation":
		return ".pptx"
	case "image/jpeg", "image/jpg":
		return ".jpg"
	case "image/png":
		return ".png"
	case "image/gif":
		return ".gif"
	case "image/webp":
		return ".webp"
	case "image/svg+xml":
		return ".svg"
	case "image/tiff":
		return ".tiff"
	case "message/rfc822", "message/global":
		return ".eml"
	case "text/plain", "message/delivery-status", "text/rfc822-headers":
		return ".txt"
	case "text/html":
		return ".html"
	case "text/calendar":
		return ".ics"
	case "text/csv":
		return ".csv"
	case "text/vcard", "text/x-vcard":
		return ".vcf"
	default:
		return ".bin"
	}
}

// base returns the last non-empty element of a path of any system.
func base(name string) string {
	elements := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	for i := len(elements) - 1; i >= 0; i-- {
		if e := elements[i]; strings.Trim(e, ". \t") != "" {
			return e
		}
	}
	return ""
}

// cleanRune removes characters that must not be in a name (-1), replaces those that only
// some systems refuse, and turns white space into a blank.
func cleanRune(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
		return ' '
	case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), invisible(r):
		return -1
	case r == utf8.RuneError, strings.ContainsRune(`<>:"|?*`, r):
		return '_'
	default:
		return r
	}
}

// invisible reports whether a character changes the look of a name without being visible:
// bidirectional controls (UAX #9 §2), zero-width spaces and word joiners, the byte order
// mark, tags. The joiners that scripts need (U+200C, U+200D) are kept.
func invisible(r rune) bool {
	switch {
	case r == 0x00AD, r == 0x061C, r == 0x180E, r == 0x200B, r == 0x200E, r == 0x200F, r == 0xFEFF:
		return true
	case r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F:
		return true
	case r >= 0xFFF9 && r <= 0xFFFB, r >= 0xE0000 && r <= 0xE007F:
		return true
	default:
		return false
	}
}

// trim removes leading dots and spaces and trailing ones.
func trim(name string) string { return strings.Trim(name, ". ") }

// reserved reports whether a name is a device name of Windows, with any extension.
func reserved(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	port := strings.TrimPrefix(strings.TrimPrefix(stem, "COM"), "LPT")
	return port != stem && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

// truncate cuts name to MaxBytes at a rune boundary and keeps its extension.
func truncate(name string) string {
	if len(name) <= MaxBytes {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > maxExt {
		ext = ""
	}
	end := MaxBytes - len(ext)
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return trim(name[:end]) + ext
}
