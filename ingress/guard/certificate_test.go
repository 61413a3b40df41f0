package guard

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/config"
)

// testPair is a self-signed certificate for name and 127.0.0.1.
type testPair struct{ chain, key []byte }

func newPair(t testing.TB, name string, from, to time.Time) testPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return testPair{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}),
	}
}

func validPair(t testing.TB, name string) testPair {
	t.Helper()
	return newPair(t, name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// write replaces the files by the pair, as a renewal does: by renaming new files.
func (p testPair) write(t testing.TB, c config.TLS) {
	t.Helper()
	for path, text := range map[string][]byte{c.Certificate: p.chain, c.Key: p.key} {
		require.NoError(t, os.WriteFile(path+".new", text, 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
}

func filesIn(dir string) config.TLS {
	return config.TLS{Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
}

// logText is a log that goroutines may write to concurrently.
type logText struct{ ingresstest.Log }

func (l *logText) count(what string) int { return strings.Count(l.String(), what) }

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func openPair(t testing.TB, c config.TLS, log *logText, poll time.Duration) *Certificate {
	t.Helper()
	got, err := openCertificate(&Certificate{files: c, logger: log.logger(), now: time.Now, settle: 20 * time.Millisecond, poll: poll})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, got.Close()) })
	return got
}

// serve completes the handshake of every client until the test ends.
func serve(t testing.TB, c *Certificate) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", c.Config())
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake()
			})
		}
	})
	t.Cleanup(func() { ln.Close(); group.Wait() })
	return ln.Addr().String()
}

// served returns the name in the certificate that a new connection receives.
func served(t testing.TB, address string, most uint16) (string, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: most, NextProtos: []string{"h2"}})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0], nil
}

func serves(t testing.TB, address, name string) func() bool {
	return func() bool {
		got, err := served(t, address, tls.VersionTLS13)
		return err == nil && got == name
	}
}

const patience = 20 * time.Second

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	files, log := filesIn(t.TempDir()), &logText{}
	validPair(t, "one.example").write(t, files)
	c := openPair(t, files, log, time.Hour)
	address := serve(t, c)
	require.True(t, serves(t, address, "one.example")())
	got, err := served(t, address, tls.VersionTLS12)
	require.NoError(t, err)
	require.Equal(t, "one.example", got)
	_, err = served(t, address, tls.VersionTLS11)
	require.Error(t, err, "TLS 1.1 is over")
	require.True(t, c.Names("one.example"))
	require.True(t, c.Names("127.0.0.1"))

	validPair(t, "two.example").write(t, files)
	require.Eventually(t, serves(t, address, "two.example"), patience, 5*time.Millisecond)
	require.False(t, c.Names("one.example"))
	require.False(t, c.Failing())
	require.WithinDuration(t, time.Now().Add(time.Hour), c.NotAfter(), time.Minute)
}

// TestCertificateBehindLinks renews as Kubernetes does, by changing the target of a link to a folder.
func TestCertificateBehindLinks(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &logText{}
	files := filesIn(dir)
	for _, name := range []string{"one", "two"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		validPair(t, name+".example").write(t, filesIn(filepath.Join(dir, name)))
	}
	require.NoError(t, os.Symlink("one", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/tls.crt", files.Certificate))
	require.NoError(t, os.Symlink("..data/tls.key", files.Key))
	address := serve(t, openPair(t, files, log, time.Hour))
	require.True(t, serves(t, address, "one.example")())
	require.NoError(t, os.Symlink("two", filepath.Join(dir, "..new")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	require.Eventually(t, serves(t, address, "two.example"), patience, 5*time.Millisecond)
}

// TestBrokenCertificateIsNotServed also shows that the poll alone is enough: the watcher
// reports no change in a folder that a link points to.
func TestBrokenCertificateIsNotServed(t *testing.T) {
	t.Parallel()
	good, other := validPair(t, "one.example"), validPair(t, "two.example")
	for name, broken := range map[string]testPair{
		"not a certificate": {[]byte("hello"), good.key},
		"not a key":         {good.chain, []byte("hello")},
		"mismatched":        {other.chain, good.key},
		"expired":           newPair(t, "two.example", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)),
		"not yet":           newPair(t, "two.example", time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)),
		"too large":         {bytes.Repeat([]byte("\n"), maxPEMFile+1), good.key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, log := t.TempDir(), &logText{}
			require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
			files, linked := filesIn(filepath.Join(dir, "real")), filesIn(dir)
			require.NoError(t, os.Symlink(files.Certificate, linked.Certificate))
			require.NoError(t, os.Symlink(files.Key, linked.Key))
			good.write(t, files)
			c := openPair(t, linked, log, 10*time.Millisecond)
			address := serve(t, c)

			broken.write(t, files)
			require.Eventually(t, c.Failing, patience, 5*time.Millisecond)
			require.True(t, serves(t, address, "one.example")())
			other.write(t, files)
			require.Eventually(t, serves(t, address, "two.example"), patience, 5*time.Millisecond)
			require.Eventually(t, func() bool { return !c.Failing() }, patience, 5*time.Millisecond)

			require.NoError(t, os.Remove(files.Key))
			require.Eventually(t, c.Failing, patience, 5*time.Millisecond)
			require.Eventually(t, func() bool { return log.count("ingress.certificate_unusable") >= 2 }, patience, 5*time.Millisecond)
			require.NoError(t, c.Close())
			c.reload()
			before := log.count("ingress.certificate_unusable")
			c.reload()
			c.reload()
			require.Equal(t, before, log.count("ingress.certificate_unusable"), "the same failure is logged once")
			require.Zero(t, log.count("PRIVATE"))
		})
	}
}

func TestOpenCertificateNamesTheFile(t *testing.T) {
	t.Parallel()
	good, other := validPair(t, "one.example"), validPair(t, "two.example")

	for name, c := range map[string]struct {
		pair testPair
		want string
	}{
		"no certificate":  {testPair{key: good.key}, "tls.crt: no such file"},
		"no key":          {testPair{chain: good.chain}, "tls.key: no such file"},
		"mismatched":      {testPair{good.chain, other.key}, "does not match"},
		"exchanged":       {testPair{good.key, good.chain}, "tls.crt"},
		"expired":         {newPair(t, "a", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)), "tls.crt expired on 20"},
		"not yet":         {newPair(t, "a", time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)), "tls.crt is not valid before 20"},
		"empty key":       {testPair{good.chain, []byte{}}, "tls.key"},
		"key with a name": {testPair{good.chain, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")}, "tls.key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := filesIn(t.TempDir())
			for path, text := range map[string][]byte{files.Certificate: c.pair.chain, files.Key: c.pair.key} {
				if text != nil {
					require.NoError(t, os.WriteFile(path, text, 0o600))
				}
			}
			_, err := OpenCertificate(files, (&logText{}).logger())
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "c2VjcmV0")
		})
	}
}
