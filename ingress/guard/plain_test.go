package guard

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func refuseTLS(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "tls_required", http.StatusForbidden)
}

func okHandler(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }

// ask sends one raw request and returns the answer.
func ask(t testing.TB, address, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func openPlain(t testing.TB, c PlainConfig) string {
	t.Helper()
	c.Refuse = refuseTLS
	if c.Proxies == nil {
		c.Proxies = &Proxies{}
	}
	handler, err := Plain(c, http.HandlerFunc(okHandler))
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestPlainRedirects(t *testing.T) {
	t.Parallel()
	ours := func(host string) bool { return host == "mail.example" || host == "2001:db8::1" }
	usual := openPlain(t, PlainConfig{Mode: "redirect", HSTS: time.Hour})
	other := openPlain(t, PlainConfig{Mode: "redirect", TLSAddress: "0.0.0.0:8443", Names: ours})
	same := openPlain(t, PlainConfig{Mode: "redirect", TLSAddress: ":https"})

	for name, c := range map[string]struct {
		address, target, host string
		want                  string // empty: refused
	}{
		"plain":                    {usual, "/webhooks/email", "mail.example", "https://mail.example/webhooks/email"},
		"port is dropped":          {usual, "/a?b=c&d", "mail.example:80", "https://mail.example/a?b=c&d"},
		"port of the listener":     {other, "/a", "mail.example:8080", "https://mail.example:8443/a"},
		"usual port":               {same, "/a", "mail.example", "https://mail.example/a"},
		"IPv6":                     {other, "/a", "[2001:db8::1]:80", "https://[2001:db8::1]:8443/a"},
		"IPv6 without port":        {usual, "/a", "[2001:db8::1]", "https://[2001:db8::1]/a"},
		"IPv4":                     {usual, "/a", "127.0.0.1:8080", "https://127.0.0.1/a"},
		"path like an authority":   {usual, "//evil.example/x", "mail.example", "https://mail.example//evil.example/x"},
		"escapes stay":             {usual, "/a%2Fb%0d%0aX", "mail.example", "https://mail.example/a%2Fb%0d%0aX"},
		"bytes in the query":       {usual, "/a?\xc3\xa9", "mail.example", "https://mail.example/a?%C3%A9"},
		"absolute form":            {usual, "http://mail.example/a", "other.example", "https://mail.example/a"},
		"not our host":             {other, "/a", "evil.example", ""},
		"no host":                  {usual, "/a", "", ""},
		"a user":                   {usual, "/a", "mail.example@evil.example", ""},
		"a path":                   {usual, "/a", "evil.example/mail.example", ""},
		"a backslash":              {usual, "/a", `evil.example\mail.example`, ""},
		"a fragment":               {usual, "/a", "evil.example#mail.example", ""},
		"a query":                  {usual, "/a", "evil.example?mail.example", ""},
		"a percent":                {usual, "/a", "mail%2eexample", ""},
		"no port number":           {usual, "/a", "mail.example:https", ""},
		"too large a port":         {usual, "/a", "mail.example:99999", ""},
		"two ports":                {usual, "/a", "mail.example:80:80", ""},
		"brackets around a name":   {usual, "/a", "[mail.example]", ""},
		"brackets that do not end": {usual, "/a", "[2001:db8::1", ""},
		"a zone":                   {usual, "/a", "[fe80::1%25eth0]", ""},
		"dots alone":               {usual, "/a", "..", ""},
		"a dash first":             {usual, "/a", "-mail.example", ""},
		"a long name":              {usual, "/a", strings.Repeat("a.", 200) + "example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The body is never sent: the answer must not wait for it.
			answer := ask(t, c.address, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n", c.target, c.host))
			require.Empty(t, answer.Header.Get("Strict-Transport-Security"), "never over plain HTTP")
			if c.want == "" {
				require.Contains(t, []int{http.StatusForbidden, http.StatusBadRequest}, answer.StatusCode)
				require.Empty(t, answer.Header.Get("Location"))
				return
			}
			require.True(t, answer.Close)
			require.Equal(t, http.StatusPermanentRedirect, answer.StatusCode)
			require.Equal(t, c.want, answer.Header.Get("Location"))
			require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
		})
	}
}

func TestPlainModes(t *testing.T) {
	t.Parallel()
	loopback := openProxies(t, "127.0.0.0/8")

	for mode, status := range map[string]int{"accept": 200, "redirect": 308, "refuse": 403} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			direct := openPlain(t, PlainConfig{Mode: mode, HSTS: time.Hour})
			proxied := openPlain(t, PlainConfig{Mode: mode, HSTS: time.Hour, Proxies: loopback})
			for _, c := range []struct {
				address, path, proto string
				want                 int
				hsts                 string
			}{
				{direct, "/a", "", status, ""},
				{direct, "/a", "https", status, ""}, // the peer is not a trusted proxy
				{direct, "/healthz", "", 200, ""},
				{direct, "/readyz", "", 200, ""},
				{direct, "/healthz/x", "", status, ""},
				{proxied, "/a", "http", status, ""},
				{proxied, "/a", "https, http", status, ""},
				{proxied, "/a", "https", 200, "max-age=3600"},
			} {
				answer := ask(t, c.address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: mail.example\r\nX-Forwarded-Proto: %s\r\n\r\n", c.path, c.proto))
				require.Equal(t, c.want, answer.StatusCode, "%+v", c)
				require.Equal(t, c.hsts, answer.Header.Get("Strict-Transport-Security"), "%+v", c)
			}
		})
	}
}

func TestPlainOverTLS(t *testing.T) {
	t.Parallel()
	for hsts, want := range map[time.Duration]string{0: "", time.Second: "max-age=1", 365 * 24 * time.Hour: "max-age=31536000"} {
		handler, err := Plain(PlainConfig{Mode: "refuse", HSTS: hsts, Proxies: &Proxies{}, Refuse: refuseTLS}, http.HandlerFunc(okHandler))
		require.NoError(t, err)
		server := httptest.NewTLSServer(handler)
		t.Cleanup(server.Close)
		answer, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, tls.VersionName(tls.VersionTLS13), tls.VersionName(answer.TLS.Version))
		require.Equal(t, want, answer.Header.Get("Strict-Transport-Security"))
	}
}

func TestPlainIsChecked(t *testing.T) {
	t.Parallel()
	good := PlainConfig{Mode: "accept", Proxies: &Proxies{}, Refuse: refuseTLS}
	for want, change := range map[string]func(*PlainConfig){
		"none of accept": func(c *PlainConfig) { c.Mode = "maybe" },
		"Proxies":        func(c *PlainConfig) { c.Proxies = nil },
		"Refuse":         func(c *PlainConfig) { c.Refuse = nil },
		"tls address":    func(c *PlainConfig) { c.TLSAddress = "host:0" },
	} {
		c := good
		change(&c)
		_, err := Plain(c, http.HandlerFunc(okHandler))
		require.ErrorContains(t, err, want)
	}
}
