package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

func TestRead(t *testing.T) {
	t.Parallel()
	form := bodyForm{Name: "a thing", Limit: 20, Is: "is one JSON object and nothing else"}
	for _, row := range []struct{ media, sent, code, message string }{
		{"application/json", `{"name":"x"}`, "", ""},
		{"application/json; charset=utf-8", ` {"name":"x"} `, "", ""},
		{"", `{"name":"x"}`, "content_type_invalid", "a thing is sent as application/json"},
		{"text/plain", `{"name":"x"}`, "content_type_invalid", "a thing is sent as application/json"},
		{"application/json", `{"name":"xxxxxxxxxxxx"}`, "body_too_large", "a thing has at most 20 bytes"},
		{"application/json", `{"name":"x"} {}`, "request_invalid", "a thing is one JSON object and nothing else"},
		{"application/json", `{"nome":"x"}`, "request_invalid", "a thing is one JSON object and nothing else"},
		{"application/json", `{"name":`, "request_invalid", "a thing is one JSON object and nothing else"},
		{"application/json", ``, "request_invalid", "a thing is one JSON object and nothing else"},
		{"application/json", `["name"]`, "request_invalid", "a thing is one JSON object and nothing else"},
	} {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(row.sent))
		c.Request.Header.Set("Content-Type", row.media)
		var in struct {
			Name string `json:"name"`
		}
		err := readBody(c, &in, form)
		if row.code == "" {
			require.NoError(t, err, row.sent)
			require.Equal(t, "x", in.Name)
			continue
		}
		require.Equal(t, row.code, string(fault.From(err).Code), row.sent)
		require.Equal(t, row.message, fault.From(err).Public, row.sent)
	}
}
