package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"mailroom/shared/payload"
)

// schemasPath is where the schemas of events are; the $id of each begins with it.
const schemasPath = "/schemas"

// schemasCache lets a copy be used for an hour: within a version a schema may grow.
const schemasCache = "public, max-age=3600"

// schemaEntry is one line of the index.
type schemaEntry struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// schemaList is the body of the index.
type schemaList struct {
	Schemas []schemaEntry `json:"schemas"`
}

// schemaIndex answers which schemas there are. They are no secret: they say what the
// documentation says.
func schemaIndex(w http.ResponseWriter, _ *http.Request) {
	list := schemaList{Schemas: []schemaEntry{}}
	for _, file := range payload.SchemaFiles() {
		list.Schemas = append(list.Schemas, schemaEntry{Name: file.Name, Title: file.Title, URL: schemasPath + "/" + file.Name})
	}
	w.Header().Set("Cache-Control", schemasCache)
	respond(w, http.StatusOK, list)
}

// schemaFile answers one schema, or that the copy of the client is the same. If there is
// none of that name it writes nothing and reports false.
func schemaFile(w http.ResponseWriter, r *http.Request, name string) bool {
	for _, file := range payload.SchemaFiles() {
		if file.Name != name {
			continue
		}
		sum := sha256.Sum256([]byte(file.Text))
		h := w.Header()
		h.Set("Content-Type", "application/schema+json")
		h.Set("Cache-Control", schemasCache)
		h.Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(file.Text))
		return true
	}
	return false
}
