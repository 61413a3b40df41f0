package secret

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func certificate(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// fakeAWS speaks GetSecretValue of Secrets Manager in AWS JSON 1.1.
type fakeAWS struct {
	mu      sync.Mutex
	secrets map[string]map[string]any // id → members of the answer
	status  int
	code    string
	regions []string // of the signatures
}

func newAWS(t *testing.T, c options) (*fakeAWS, bundle) {
	t.Helper()
	a := &fakeAWS{secrets: map[string]map[string]any{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": server.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "aws-hunter2", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	if c.AWSRefresh == 0 {
		c.AWSRefresh = 5 * time.Millisecond
	}
	return a, setup(t, c)
}

func (a *fakeAWS) set(id string, members map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[id] = members
}

func (a *fakeAWS) fail(status int, code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.code = status, code
}

func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "Message": "hunter2 is not welcome"})
	}
	var in struct {
		SecretID string `json:"SecretId"`
	}
	auth := r.Header.Get("Authorization")
	scope := strings.Split(auth, "/")
	switch {
	case !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || len(scope) < 4 ||
		!strings.Contains(auth, "SignedHeaders=") || !strings.Contains(auth, "Signature="):
		refuse(403, "MissingAuthenticationTokenException")
		return
	case r.Method != http.MethodPost || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" ||
		r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || json.NewDecoder(r.Body).Decode(&in) != nil:
		refuse(400, "UnknownOperationException")
		return
	case a.status != 0:
		refuse(a.status, a.code)
		return
	}
	a.regions = append(a.regions, scope[2])
	members, ok := a.secrets[in.SecretID]
	if !ok {
		refuse(400, "ResourceNotFoundException")
		return
	}
	_ = json.NewEncoder(w).Encode(members)
}

func text(s string) map[string]any { return map[string]any{"Name": "n", "SecretString": s} }

func TestAWSRotates(t *testing.T) {
	a, b := newAWS(t, options{})
	a.set("prod/mail", text(`{"webhook":"one","n":1}`))
	a.set("plain", text("whole\n"))
	a.set("binary", map[string]any{"SecretBinary": []byte("bytes")})
	s := b.resolve(t, "aws-sm:prod/mail#webhook")
	require.Equal(t, "one", s.Reveal())
	require.Equal(t, "whole", b.resolve(t, "aws-sm:plain").Reveal())
	require.Equal(t, "bytes", b.resolve(t, "aws-sm:binary").Reveal())
	b.watch(t)
	a.set("prod/mail", text(`{"webhook":"two"}`))
	shows(t, s, "two")
}

func TestAWSIsLostAndComesBack(t *testing.T) {
	a, b := newAWS(t, options{})
	ref := "aws-sm:prod/mail#f"
	a.set("prod/mail", text(`{"f":"one"}`))
	s := b.resolve(t, ref)
	b.watch(t)
	for _, lose := range []func(){
		func() { a.fail(500, "InternalServiceError") },
		func() { a.fail(400, "AccessDeniedException") },
		func() { a.set("prod/mail", text("hunter2")) },
		func() { a.set("prod/mail", text(`{"g":"hunter2"}`)) },
		func() { a.set("prod/mail", text(`{"f":""}`)) },
		func() { a.set("prod/mail", map[string]any{}) },
	} {
		lose()
		b.fails(t, ref, true)
		require.Equal(t, "one", s.Reveal())
		a.set("prod/mail", text(`{"f":"one"}`))
		a.fail(0, "")
		b.fails(t, ref, false)
	}
	b.logged(t, "secret.failing", 6)
	a.set("prod/mail", text(`{"f":"two"}`))
	shows(t, s, "two")
	require.NotContains(t, b.logs.String(), "hunter2")
}

func TestAWSFailuresAreNamed(t *testing.T) {
	a, b := newAWS(t, options{})
	a.set("object", text(`{"f":"one","n":1,"null":null}`))
	a.set("plain", text("hunter2"))
	a.set("empty", text(""))
	for ref, want := range map[string]string{
		"aws-sm:object#x":    "cannot be read: the secret has no field of that name",
		"aws-sm:object#n":    "cannot be read: the field is not text",
		"aws-sm:object#null": "cannot be read: the field is not text",
		"aws-sm:plain#f":     "cannot be read: the secret is not a JSON object, so it has no fields",
		"aws-sm:empty":       "resolves to nothing: it is empty",
		"aws-sm:absent":      "resolves to nothing: AWS Secrets Manager has no secret of that name",
	} {
		_, err := b.Resolve(t.Context(), ref)
		require.EqualError(t, err, ref+" "+want)
	}
	for code, want := range map[string]string{
		"AccessDeniedException":  "AWS Secrets Manager answered AccessDeniedException",
		"hunter2 is not a code!": "AWS Secrets Manager answered 400",
	} {
		a.fail(400, code)
		_, err := b.Resolve(t.Context(), "aws-sm:plain")
		require.EqualError(t, err, "aws-sm:plain cannot be read: "+want)
	}
	a.fail(0, "")
	require.Equal(t, "hunter2", b.resolve(t, "aws-sm:plain").Reveal())
}

func TestAWSRegionOfTheARN(t *testing.T) {
	a, b := newAWS(t, options{})
	arn := "arn:aws:secretsmanager:us-west-2:123456789012:secret:mail-AbCdEf"
	a.set(arn, text(`{"f":"one"}`))
	a.set("name", text("two"))
	b.resolve(t, "aws-sm:"+arn+"#f")
	b.resolve(t, "aws-sm:name")
	require.Equal(t, []string{"us-west-2", "eu-central-1"}, a.regions)
}

func TestAWSSettings(t *testing.T) {
	t.Run("no region", func(t *testing.T) {
		_, b := newAWS(t, options{})
		t.Setenv("AWS_REGION", "")
		t.Setenv("AWS_DEFAULT_REGION", "")
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.EqualError(t, err, "aws-sm:a cannot be read: no AWS region is set (AWS_REGION)")
	})
	t.Run("no credentials", func(t *testing.T) {
		_, b := newAWS(t, options{})
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.EqualError(t, err, "aws-sm:a cannot be read: no AWS credentials were found")
	})
	t.Run("profile that is not there", func(t *testing.T) {
		_, b := newAWS(t, options{})
		t.Setenv("AWS_PROFILE", "nobody")
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.ErrorContains(t, err, "the settings of the AWS client")
	})
	t.Run("unreachable", func(t *testing.T) {
		_, b := newAWS(t, options{})
		server := httptest.NewServer(nil)
		t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.URL)
		server.Close()
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.ErrorContains(t, err, "aws-sm:a cannot be read: AWS Secrets Manager cannot be reached: dial tcp")
	})
	t.Run("hangs", func(t *testing.T) {
		_, b := newAWS(t, options{Timeout: 100 * time.Millisecond})
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the caller is gone
			<-r.Context().Done()
		}))
		defer server.Close()
		t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.URL)
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.EqualError(t, err, "aws-sm:a cannot be read: AWS Secrets Manager did not answer in time")
	})
	t.Run("no time left to look for credentials", func(t *testing.T) {
		_, b := newAWS(t, options{Timeout: time.Nanosecond})
		_, err := b.Resolve(t.Context(), "aws-sm:a")
		require.EqualError(t, err, "aws-sm:a cannot be read: AWS Secrets Manager did not answer in time")
	})
}
