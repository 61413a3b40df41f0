package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// TestTokensHaveOwners: a token counts as the person that its creator names, or as the
// creator; no token has a name under which the system acts.
func TestTokensHaveOwners(t *testing.T) {
	t.Parallel()
	b := setup(t)
	create := walk{method: http.MethodPost, path: "/api/v1/tokens"}
	for body, owner := range map[string]string{
		`{"name":"own","roles":{"*":"operator"}}`:                             "adam",
		`{"name":"of-ann","owner":" Ann@id.example ","roles":{"*":"viewer"}}`: "Ann@id.example",
	} {
		create.body = body
		resp, text := create.send(t, b, "admin", nil)
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
		require.Contains(t, text, `"owner":"`+owner+`"`)
	}
	for _, body := range []string{
		`{"name":"policy","roles":{"*":"operator"}}`,
		`{"name":"Mailroom","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"policy","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"mailroom@anywhere","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"ann (claimed)","roles":{"*":"operator"}}`,
		`{"name":"x","owner":"a\nb","roles":{"*":"operator"}}`,
	} {
		create.body = body
		resp, text := create.send(t, b, "admin", nil)
		requireRefused(t, resp, text, http.StatusBadRequest, fault.RequestInvalid)
	}
}
