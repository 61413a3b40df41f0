package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/payload"
)

func TestSchemaIndexLeadsToEverySchema(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	schemaIndex(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, schemasPath, nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=3600", w.Header().Get("Cache-Control"))
	var list schemaList
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
	require.Len(t, list.Schemas, len(payload.SchemaFiles()))
	for i, entry := range list.Schemas {
		require.Equal(t, payload.SchemaFiles()[i].Title, entry.Title)
		require.Equal(t, schemasPath+"/"+entry.Name, entry.URL)
		got := getSchema(t, entry.Name, "")
		require.Equal(t, payload.SchemaFiles()[i].Text, got.Body.String())
		var text struct {
			ID string `json:"$id"`
		}
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &text))
		require.Equal(t, entry.URL, text.ID, "the $id is the path that serves it")
	}
}

func getSchema(t *testing.T, name, known string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, schemasPath+"/"+name, nil)
	if known != "" {
		r.Header.Set("If-None-Match", known)
	}
	w := httptest.NewRecorder()
	require.True(t, schemaFile(w, r, name), name)
	return w
}

func TestSchemaFile(t *testing.T) {
	t.Parallel()
	const name = "mailroom.inbound.a.v1.json"
	first := getSchema(t, name, "")
	require.Equal(t, http.StatusOK, first.Code)
	require.Equal(t, "application/schema+json", first.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=3600", first.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", first.Header().Get("X-Content-Type-Options"))
	tag := first.Header().Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)

	again := getSchema(t, name, tag)
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())
	require.Equal(t, http.StatusOK, getSchema(t, name, `"other"`).Code)
	require.NotEqual(t, tag, getSchema(t, "mailroom.inbound.b.v1.json", "").Header().Get("ETag"))
}

func TestNoSchemaOfThatName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "x.json", "mailroom.inbound.a.v1", "MAILROOM.inbound.a.v1.json", "../event.go", "schemas/mailroom.inbound.a.v1.json", strings.Repeat("a", 1<<16)} {
		w := httptest.NewRecorder()
		require.False(t, schemaFile(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, schemasPath, nil), name), name)
		require.Empty(t, w.Header())
		require.Empty(t, w.Body.String())
	}
}
