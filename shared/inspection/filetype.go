package inspection

import (
	"archive/zip"
	"bytes"
	"fmt"
	"mime"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Media types that the rules below use.
const (
	typeEmpty = "application/x-empty"
	typeOctet = "application/octet-stream"
	typePlain = "text/plain"
	typeZip   = "application/zip"
	typeOle   = "application/x-ole-storage"
	typePDF   = "application/pdf"

	ooxml = "application/vnd.openxmlformats-officedocument."
)

// Detect returns the media type of content by its bytes, without parameters:
// application/x-empty if it is empty, application/octet-stream if it is unknown.
func Detect(content []byte) string {
	if len(content) == 0 {
		return typeEmpty
	}
	detected := essence(mimetype.Detect(content).String())
	if detected == typeZip {
		return zipType(content)
	}
	return detected
}

// zipType distinguishes office documents from other zips by the names in the
// directory, which may lie beyond the first bytes that mimetype reads.
func zipType(content []byte) string {
	const many = 10_000 // entries: a document has fewer, and the reader takes memory for each
	if bytes.Count(content, []byte("PK\x01\x02")) > many {
		return typeZip
	}

	zr, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return typeZip
	}

	document, parts := false, ""
	for _, f := range zr.File {
		switch {
		case f.Name == "[Content_Types].xml":
			document = true
		case strings.HasPrefix(f.Name, "word/"):
			parts = ooxml + "wordprocessingml.document"
		case strings.HasPrefix(f.Name, "xl/"):
			parts = ooxml + "spreadsheetml.sheet"
		case strings.HasPrefix(f.Name, "ppt/"):
			parts = ooxml + "presentationml.presentation"
		}
	}

	if document && parts != "" {
		return parts
	}

	return typeZip
}

// essence returns a media type in lower case without parameters; "" if it is invalid.
func essence(t string) string {
	t, _, _ = strings.Cut(t, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	major, minor, ok := strings.Cut(t, "/")
	if !ok || major == "" || minor == "" {
		return ""
	}
	return t
}

// canonical is essence with aliases replaced: one name per type.
func canonical(t string) string {
	t = essence(t)
	if m := mimetype.Lookup(t); t != "" && m != nil {
		return essence(m.String())
	}
	return t
}

// known returns the name of a declared type for a text: a media type is named, other
// text of the sender is not repeated.
func known(declared string) string {
	if c := canonical(declared); mimetype.Lookup(c) != nil {
		return c
	}
	major, _, _ := strings.Cut(essence(declared), "/")
	switch major {
	case "text", "image", "audio", "video", "font", "application", "message", "model":
		return major + "/*"
	}
	return "another type"
}

// family groups types by what opening them may do.
type family int

const (
	other      family = iota
	passive           // pictures, sound, film, fonts, PDF: content that only a viewer opens
	text              // read as it is
	document          // office documents
	html              // runs scripts in a browser
	script            // runs in an interpreter
	executable        // runs
	archive           // holds files
)

func familyOf(t string) family {
	switch t {
	case "application/vnd.microsoft.portable-executable", "application/x-msdownload", "application/x-dosexec",
		"application/x-msdos-program", "application/x-ms-dos-executable", "application/exe", "application/x-exe",
		"application/x-elf", "application/x-object", "application/x-executable", "application/x-sharedlib",
		"application/x-mach-binary", "application/x-java-applet", "application/java-vm", "application/java-archive",
		"application/vnd.android.package-archive", "application/x-ms-installer", "application/x-ms-shortcut",
		"application/x-shockwave-flash", "application/x-chrome-extension", "application/wasm",
		"application/vnd.ms-htmlhelp", "application/vnd.debian.binary-package", "application/x-rpm",
		"application/x-bytecode.python":
		return executable
	case "text/x-shellscript", "text/x-php", "text/x-perl", "text/x-python", "text/x-ruby", "text/x-lua",
		"text/x-tcl", "text/javascript":
		return script
	case "text/html", "application/xhtml+xml":
		return html
	case typeZip, "application/gzip", "application/x-tar", "application/x-7z-compressed", "application/vnd.rar",
		"application/x-bzip2", "application/x-xz", "application/zstd", "application/lzip",
		"application/vnd.ms-cab-compressed", "application/x-installshield", "application/x-cpio", "application/x-xar":
		return archive
	case typeOle, "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
		"application/vnd.ms-outlook", "application/epub+zip", "text/rtf":
		return document
	case typePDF:
		return passive
	case "application/json", "application/x-ndjson", "application/xml", "application/rtf":
		return text
	}

	major, minor, _ := strings.Cut(t, "/")
	switch major {
	case "image", "audio", "video", "font":
		return passive
	case "text", "message":
		return text
	}

	switch {
	case strings.HasPrefix(minor, "vnd.openxmlformats-"), strings.HasPrefix(minor, "vnd.oasis.opendocument."):
		return document
	case strings.HasSuffix(minor, "+xml"), strings.HasSuffix(minor, "+json"):
		return text
	}

	return other
}

// mismatch reports whether the declared type hides content that is dangerous to open: a
// program declared as anything else, a page or script as a picture, an archive as a
// picture or a text. Harmless confusions (CSV as plain text, a JPEG as PNG) are no
// mismatch, nor is a declaration that names no type.
func mismatch(declared, detected string) bool {
	claim := canonical(declared)
	switch claim {
	case "", typeOctet, "binary/octet-stream", "application/x-download", "application/force-download",
		"application/download", "application/unknown", "application/x-unknown":
		return false
	}

	if claim == detected {
		return false
	}

	as := familyOf(claim)
	switch familyOf(detected) {
	case executable:
		// A .jar or .apk is a zip and may be declared as one.
		zipped := detected == "application/java-archive" || detected == "application/vnd.android.package-archive"
		return as != executable && (as != archive || !zipped)
	case html, script:
		return as == passive || as == archive
	case archive:
		return as == passive || as == text || as == html || as == script
	}

	return false
}

// allowList is a compiled list of media types.
type allowList struct {
	any      bool
	types    map[string]bool
	families map[string]bool // "image" for "image/*"
}

func newAllowList(patterns []string) (allowList, error) {
	l := allowList{any: len(patterns) == 0, types: map[string]bool{}, families: map[string]bool{}}
	for _, p := range patterns {
		t := essence(p)
		if _, _, err := mime.ParseMediaType(p); err != nil || t == "" {
			return l, fmt.Errorf("inspection: allowed type %q is not a media type", p)
		}
		major, minor, _ := strings.Cut(t, "/")
		switch {
		case major == "*" && minor == "*":
			l.any = true
		case strings.Contains(major, "*") || (strings.Contains(minor, "*") && minor != "*"):
			return l, fmt.Errorf("inspection: allowed type %q: a * may only stand for all after the slash", p)
		case minor == "*":
			l.families[major] = true
		default:
			l.types[canonical(t)] = true
		}
	}
	return l, nil
}

// permits reports whether the detected type is allowed. The declared type counts only
// if the bytes are ambiguous: plain text of some text format, an old office document.
func (l allowList) permits(declared, detected string) bool {
	if l.any || detected == typeEmpty || l.has(detected) {
		return true
	}
	claim := canonical(declared)
	switch detected {
	case typePlain:
		return familyOf(claim) == text && l.has(claim)
	case typeOle:
		return familyOf(claim) == document && l.has(claim)
	}
	return plainText(detected) && l.has(typePlain)
}

func (l allowList) has(t string) bool {
	major, _, _ := strings.Cut(t, "/")
	return l.types[t] || l.families[major]
}

// plainText reports whether a type is a text format without a signature of its own.
func plainText(t string) bool {
	switch t {
	case "text/csv", "text/tab-separated-values", "application/json", "application/x-ndjson", "application/geo+json",
		"application/x-subrip", "text/vtt", "message/rfc822", "text/vnd.familysearch.gedcom":
		return true
	}
	return false
}
