package temporal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/shared/seal"
	"mailroom/shared/testenv"
)

// authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)

	return authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns a certificate for localhost and its key in PEM.
func (a authority) issue(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)

	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// front serves TLS before the Temporal server at address. With clients it asks for a
// certificate that they signed; with an API key it asks for that.
func front(t *testing.T, address string, servers authority, clients *authority, apiKey string) (hostPort string) {
	t.Helper()
	cert, key := servers.issue(t)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	settings := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	if clients != nil {
		settings.ClientAuth, settings.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		settings.ClientCAs.AddCert(clients.cert)
	}

	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.Transport = &http.Transport{Protocols: protocols}
	proxy.FlushInterval = -1
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if apiKey != "" && r.Header.Get("Authorization") != "Bearer "+apiKey {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", settings)
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	return listener.Addr().String()
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(path, content, 0o600))

	return path
}

// connect connects as the programs do, with the environment alone.
func connect(t *testing.T, vars map[string]string) error {
	t.Helper()
	for name, value := range vars {
		t.Setenv(name, value)
	}
	options, err := Options(slog.New(slog.DiscardHandler), nil, seal.Keyring{})
	require.NoError(t, err)
	c, err := client.DialContext(t.Context(), options)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(t.Context(), nil)

	return err
}

// TestClientCertificates connects to a Temporal server that asks for one, with the
// standard variables.
func TestClientCertificates(t *testing.T) {
	servers, clients := newAuthority(t), newAuthority(t)
	address := front(t, testenv.Temporal(t), servers, &clients, "")
	cert, key := clients.issue(t)
	vars := map[string]string{
		"TEMPORAL_ADDRESS": address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH": writeFile(t, servers.pem),
		"TEMPORAL_TLS_CLIENT_CERT_PATH": writeFile(t, cert), "TEMPORAL_TLS_CLIENT_KEY_PATH": writeFile(t, key),
	}
	require.NoError(t, connect(t, vars))

	cert, key = servers.issue(t)
	vars["TEMPORAL_TLS_CLIENT_CERT_PATH"], vars["TEMPORAL_TLS_CLIENT_KEY_PATH"] = writeFile(t, cert), writeFile(t, key)
	require.Error(t, connect(t, vars), "a certificate of another authority is refused")
}

// TestAPIKey connects with TLS and a bearer token.
func TestAPIKey(t *testing.T) {
	servers := newAuthority(t)
	address := front(t, testenv.Temporal(t), servers, nil, "an-api-key")
	vars := map[string]string{
		"TEMPORAL_ADDRESS": address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH": writeFile(t, servers.pem), "TEMPORAL_API_KEY": "an-api-key",
	}
	require.NoError(t, connect(t, vars))
	vars["TEMPORAL_API_KEY"] = "another"
	require.Error(t, connect(t, vars))
}
