package auditchain

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"
)

//go:embed page.html
var pageText string

// Page returns a document as one HTML page for people: without scripts, without
// anything from elsewhere, and with everything in it escaped. It proves nothing by
// itself; it names the head that the JSON document leads to.
func Page(d *Document) ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"at": func(t any) string {
			switch t := t.(type) {
			case time.Time:
				return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
			case *time.Time:
				if t != nil {
					return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
				}
			}
			return "–"
		},
		"or": func(text string) string {
			if text == "" {
				return "–"
			}
			return text
		},
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}

	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}

	return out.Bytes(), nil
}
