package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

// pageRows is the number of effects that the page shows.
const pageRows = 100

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page answers with the newest effects as HTML, without scripts.
func (s *Sink) page(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, s.ledger.report("", "", "", pageRows)); err != nil {
		http.Error(w, "the page cannot be rendered", http.StatusInternalServerError)
		return
	}

	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(out.Bytes())
}

// Attempts is the number of requests that had the effect or repeated it.
func (e Effect) Attempts() int { return e.Repeats + 1 }

// Newest returns the effects, the newest first.
func (r Report) Newest() []Effect {
	out := make([]Effect, 0, len(r.List))
	for i := len(r.List) - 1; i >= 0; i-- {
		out = append(out, r.List[i])
	}
	return out
}
