package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/codec"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

// codecRoutes are those of a codec server without keys.
func codecRoutes(t *testing.T) []access.Route {
	t.Helper()
	s, err := codec.New(codec.Config{}, temporal.NewCodec(seal.Keyring{}))
	require.NoError(t, err)
	return s.Routes()
}

// codecWalks: payloads are of every tenant, so a role for one tenant is not enough.
func codecWalks() []walk {
	const body = `{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MQ=="}]}`
	return []walk{
		{method: http.MethodPost, pattern: "/codec/decode", path: "/codec/decode", body: body,
			least: access.Viewer, scope: access.EveryTenant, auth: access.CORS},
		{method: http.MethodPost, pattern: "/codec/encode", path: "/codec/encode?preserveStorageRefs=true", body: body,
			least: access.Operator, scope: access.EveryTenant, auth: access.CORS},
	}
}
