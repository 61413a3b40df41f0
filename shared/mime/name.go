package mime

import "strings"

// name returns the file name that the sender chose, or "". Encoded words in it are
// decoded: RFC 2231 forbids them, and every mail program writes them.
func (e *entity) name(r *textReader) string {
	for _, where := range []struct {
		in   []media
		name string
	}{{e.dispositions, "filename"}, {e.types, "name"}, {e.dispositions, "name"}, {e.types, "filename"}, {e.types, "file"}} {
		for _, m := range where.in {
			if text := r.fieldText(m.source); text != m.source { // bytes of other character sets have other meanings
				m, _ = readMedia(text)
			}
			if value, charset, ok := m.get(where.name); ok {
				if name := strings.TrimSpace(r.decodeName(m.path(where.name, value), charset)); name != "" {
					return name
				}
			}
		}
	}
	return ""
}

// path returns a value with its backslashes if it is a Windows path, whose sender did
// not mean quoted pairs.
func (m media) path(name, value string) string {
	for _, p := range m.params {
		if p.name == name && p.quoted && p.raw != p.value && windowsPath(p.raw) {
			return p.raw
		}
	}
	return value
}

func windowsPath(raw string) bool {
	drive := len(raw) > 3 && raw[1] == ':' && raw[2] == '\\' && raw[3] != '\\'
	share := len(raw) > 4 && strings.HasPrefix(raw, `\\`) && raw[2] != '\\' && strings.Contains(raw[2:], `\`)
	return drive || share
}
