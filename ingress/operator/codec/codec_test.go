package codec_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"

	"mailroom/ingress/operator/codec"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

const ui = "http://127.0.0.1:8233"

func keys(t *testing.T) seal.Keyring {
	t.Helper()
	r, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{{ID: "k1", Key: config.NewSecret(strings.Repeat("0a", seal.KeySize))}}})
	require.NoError(t, err)
	return r
}

// serve serves the routes without authentication.
func serve(t *testing.T, r seal.Keyring) *httptest.Server {
	t.Helper()
	s, err := codec.New(codec.Config{Origins: []string{ui}}, temporal.NewCodec(r))
	require.NoError(t, err)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	for _, r := range s.Routes() {
		engine.Handle(r.Method, r.Path, func(c *gin.Context) {
			if err := r.Handle(c); err != nil {
				c.String(http.StatusTeapot, string(fault.From(err).Code))
			}
		})
	}
	engine.NoRoute(func(c *gin.Context) { c.String(http.StatusNotFound, "beyond") })
	server := httptest.NewServer(s.CORS(engine))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, server *httptest.Server, method, path, origin string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
	require.NoError(t, err)
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := server.Client().Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(text)
}

func message(t *testing.T, payloads ...*commonpb.Payload) io.Reader {
	t.Helper()
	b, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
	require.NoError(t, err)
	return bytes.NewReader(b)
}

// TestSDKTalksToIt uses what the command line of Temporal is built on.
func TestSDKTalksToIt(t *testing.T) {
	t.Parallel()
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{Endpoint: serve(t, keys(t)).URL + codec.Root})
	plain, err := converter.GetDefaultDataConverter().ToPayload("hello")
	require.NoError(t, err)
	sealed, err := remote.Encode([]*commonpb.Payload{plain})
	require.NoError(t, err)
	require.NotContains(t, string(sealed[0].GetData()), "hello")
	var got string
	require.NoError(t, temporal.Converter(keys(t)).FromPayload(sealed[0], &got), "our programs read what it has encrypted")
	require.Equal(t, "hello", got)

	ours, err := temporal.Converter(keys(t)).ToPayload("from a program")
	require.NoError(t, err)
	mixed, err := remote.Decode([]*commonpb.Payload{ours, plain})
	require.NoError(t, err)
	require.Equal(t, `"from a program"`, string(mixed[0].GetData()))
	require.Equal(t, `"hello"`, string(mixed[1].GetData()))

	_, err = converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: serve(t, seal.Keyring{}).URL + codec.Root,
	}).Decode([]*commonpb.Payload{ours})
	require.ErrorContains(t, err, `encryption key "k1"`)
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	server := serve(t, keys(t))
	for name, c := range map[string]struct {
		method, path, origin string
		status               int
		allowed              string
	}{
		"command line":        {http.MethodPost, "/codec/decode", "", 200, ""},
		"web ui":              {http.MethodPost, "/codec/decode", ui, 200, ui},
		"our own pages":       {http.MethodPost, "/codec/decode", server.URL, 200, ""},
		"stranger":            {http.MethodPost, "/codec/decode", "http://evil.example", 403, ""},
		"other port":          {http.MethodPost, "/codec/decode", "http://127.0.0.1:8234", 403, ""},
		"other scheme":        {http.MethodPost, "/codec/decode", "https://127.0.0.1:8233", 403, ""},
		"longer":              {http.MethodPost, "/codec/decode", ui + ".evil.example", 403, ""},
		"sandboxed frame":     {http.MethodPost, "/codec/decode", "null", 403, ""},
		"preflight":           {http.MethodOptions, "/codec/decode", ui, 204, ui},
		"preflight elsewhere": {http.MethodOptions, "/codec/encode", "http://evil.example", 403, ""},
		"refusal":             {http.MethodPost, "/codec/else", ui, 404, ui},
		"not the codec":       {http.MethodPost, "/api/v1/emails", ui, 404, ""},
		"preflight of others": {http.MethodOptions, "/api/v1/emails", ui, 404, ""},
	} {
		res, text := ask(t, server, c.method, c.path, c.origin, strings.NewReader(`{"payloads":[]}`))
		require.Equal(t, c.status, res.StatusCode, "%s: %s", name, text)
		require.Equal(t, c.allowed, res.Header.Get("Access-Control-Allow-Origin"), name)
		require.Equal(t, c.allowed != "", res.Header.Get("Access-Control-Allow-Credentials") == "true", name)
		if strings.HasPrefix(c.path, "/codec/") {
			require.Equal(t, "Origin", res.Header.Get("Vary"), name)
		}
		if c.status == http.StatusNoContent {
			require.Equal(t, "POST", res.Header.Get("Access-Control-Allow-Methods"))
			for _, h := range []string{"Content-Type", "X-Namespace", "Authorization"} {
				require.Contains(t, res.Header.Get("Access-Control-Allow-Headers"), h)
			}
		}
	}
	for _, bad := range []string{"*", "null", "127.0.0.1:8233", ui + "/", ui + "/x", "https://"} {
		_, err := codec.New(codec.Config{Origins: []string{bad}}, temporal.NewCodec(seal.Keyring{}))
		require.Error(t, err, bad)
	}
}

// TestWebUISaysWhereToSignIn: the Web UI showed "Codec Server could not connect" to a
// browser that was not signed in.
func TestWebUISaysWhereToSignIn(t *testing.T) {
	t.Parallel()
	s, err := codec.New(codec.Config{Origins: []string{ui}}, temporal.NewCodec(keys(t)))
	require.NoError(t, err)
	refusal := http.StatusUnauthorized
	server := httptest.NewServer(s.CORS(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "refused", refusal)
	})))
	t.Cleanup(server.Close)
	clear, err := converter.GetDefaultDataConverter().ToPayload("not encrypted")
	require.NoError(t, err)
	sealed, err := temporal.Converter(keys(t)).ToPayload("a secret")
	require.NoError(t, err)
	texts := func(body string) []string {
		var out commonpb.Payloads
		require.NoError(t, protojson.Unmarshal([]byte(body), &out), body)
		var texts []string
		for _, p := range out.GetPayloads() {
			var text string
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(p, &text))
			texts = append(texts, text)
		}
		return texts
	}

	res, body := ask(t, server, http.MethodPost, "/codec/decode", ui, message(t, sealed, clear, sealed))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, ui, res.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", res.Header.Get("Access-Control-Allow-Credentials"))
	require.Empty(t, res.Header.Get("WWW-Authenticate"))
	signIn := "Encrypted. To read this, sign in at " + server.URL + " in this browser, then reload this page."
	require.Equal(t, []string{signIn, "not encrypted", signIn}, texts(body))

	for name, c := range map[string]struct {
		path, origin string
		status       int
	}{
		"command line": {"/codec/decode", "", http.StatusUnauthorized},
		"encode":       {"/codec/encode", ui, http.StatusUnauthorized},
		"unavailable":  {"/codec/decode", ui, http.StatusServiceUnavailable},
	} {
		refusal = c.status
		res, body := ask(t, server, http.MethodPost, c.path, c.origin, message(t, sealed))
		require.Equal(t, c.status, res.StatusCode, name)
		require.Equal(t, "refused\n", body, name)
		require.NotEmpty(t, res.Header.Get("WWW-Authenticate"), name)
	}

	refusal = http.StatusForbidden
	_, body = ask(t, server, http.MethodPost, "/codec/decode", ui, message(t, sealed))
	require.Contains(t, texts(body)[0], "takes the role viewer for every tenant")
	for _, bad := range []string{"", "[]", `{"payloads":1}`, `{"payloads":["` + strings.Repeat("x", 1<<20) + `"]}`} {
		res, _ := ask(t, server, http.MethodPost, "/codec/decode", ui, strings.NewReader(bad))
		require.Equal(t, http.StatusForbidden, res.StatusCode)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	server := serve(t, keys(t))
	res, text := ask(t, server, http.MethodPost, "/codec/decode", "", bytes.NewReader(make([]byte, 8<<20+1)))
	require.Equal(t, http.StatusTeapot, res.StatusCode)
	require.Equal(t, string(fault.BodyTooLarge), text)

	// Few bytes that unpack to many.
	sealed, err := temporal.NewCodec(keys(t)).Encode([]*commonpb.Payload{{Data: make([]byte, 4<<20-100)}})
	require.NoError(t, err)
	many := make([]*commonpb.Payload, 5)
	for i := range many {
		many[i] = sealed[0]
	}
	res, _ = ask(t, server, http.MethodPost, "/codec/decode", "", message(t, many[:4]...))
	require.Equal(t, http.StatusOK, res.StatusCode)
	res, text = ask(t, server, http.MethodPost, "/codec/decode", "", message(t, many...))
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Less(t, len(text), 200)

	for _, bad := range []string{"", "[]", `{"payloads":1}`, `{"payloads":[{"data":"!"}]}`} {
		res, _ := ask(t, server, http.MethodPost, "/codec/decode", "", strings.NewReader(bad))
		require.Equal(t, http.StatusBadRequest, res.StatusCode, bad)
	}
}

// FuzzDecode posts anything: the answer is payloads or a refusal.
func FuzzDecode(f *testing.F) {
	f.Add(`{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MQ=="}]}`)
	f.Add(`{"payloads":[{"metadata":{"encoding":"YmluYXJ5L2VuY3J5cHRlZA==","encryption-key-id":"azE="},"data":"MQ=="}]}`)
	f.Add(`{"payloads":[{}]}`)
	s, err := codec.New(codec.Config{}, temporal.NewCodec(seal.Keyring{}))
	require.NoError(f, err)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	for _, r := range s.Routes() {
		engine.Handle(r.Method, r.Path, func(c *gin.Context) { _ = r.Handle(c) })
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/codec/decode", strings.NewReader(body)))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code)
		if w.Code == http.StatusOK {
			require.True(t, json.Valid(w.Body.Bytes()))
		}
	})
}
