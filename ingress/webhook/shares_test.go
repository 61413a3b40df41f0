package webhook

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/ingress/ingresstest"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

// openProxied is openIngress behind a proxy on this machine, whose clients are named by
// X-Forwarded-For, with clock instead of the real time.
func openProxied(t *testing.T, clock func() time.Time) *testIngress {
	t.Helper()
	d := openIngress(t)
	proxies, err := guard.NewProxies([]string{"127.0.0.0/8"})
	require.NoError(t, err)
	crowd, err := guard.NewCrowd(guard.NewKnown(), proxies, shares(2<<30, 25<<20), clock)
	require.NoError(t, err)
	d.server.receiver.proxies, d.server.receiver.crowd = proxies, crowd
	return d
}

// besiege begins count unsigned uploads of 25 MiB from address, of which it sends size
// bytes and no more. What is answered comes over the channel.
func (d *testIngress) besiege(t *testing.T, address string, count, size int) <-chan string {
	t.Helper()
	answers := make(chan string, count)
	for range count {
		conn := d.dial(t)
		_, err := fmt.Fprintf(conn, "POST /webhooks/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Forwarded-For: %s\r\n"+
			"%s: %d\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", address, signing.TimestampHeader, time.Now().UnixMilli(),
			signing.SignatureHeader, strings.Repeat("00", 32), 25<<20)
		require.NoError(t, err)
		go func() {
			_, _ = conn.Write(make([]byte, size)) // fails where the ingress has closed
			if answer, _ := io.ReadAll(conn); len(answer) > 0 {
				answers <- string(answer)
			}
		}()
	}
	return answers
}

// sendFrom posts an authentic event of size bytes from address.
func (d *testIngress) sendFrom(t *testing.T, address, id string, size int) reply {
	t.Helper()
	body := padded(id, size)
	h := sign(body)
	h.Set("X-Forwarded-For", address)
	return d.post(t, h, strings.NewReader(string(body)), int64(size))
}

// TestOneStrangerTakesAllSpoolFiles: one address without a secret begins as many
// large uploads as it may. Large mail is accepted all the same, of an address that
// is not known yet as well.
func TestOneStrangerTakesAllSpoolFiles(t *testing.T) {
	t.Parallel()
	for name, stranger := range map[string]func(int) string{
		"one address": func(int) string { return "203.0.113.9" },
		"one /64":     func(i int) string { return "2001:db8:1:2::" + strconv.Itoa(i+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openProxied(t, nil)
			for i := range guard.MaxStrangers {
				d.besiege(t, stranger(i), 1, memoryMax+1)
			}
			ingresstest.Eventually(t, func() bool { return d.held(guard.Files) >= strangerBodies }, "it holds files")
			got := d.sendFrom(t, "198.51.100.7", "evt_large", memoryMax+100)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.LessOrEqual(t, d.held(guard.Files), int64(strangerBodies))
			require.LessOrEqual(t, d.held(guard.Buffers), int64(strangerBodies))
		})
	}
}

// TestManyStrangersLeaveTheReservedHalf: 40 addresses take what they can. A known
// address sends large and small mail without a refusal.
func TestManyStrangersLeaveTheReservedHalf(t *testing.T) {
	t.Parallel()
	still := time.Now()
	d := openProxied(t, func() time.Time { return still }) // none becomes slow
	require.Equal(t, http.StatusOK, d.sendFrom(t, "198.51.100.7", "evt_small", 200).status)
	for i := range 40 {
		d.besiege(t, "203.0.113."+strconv.Itoa(i+1), 2, memoryMax+1)
	}
	strangers := func(p guard.Pool) int64 {
		_, n := d.server.receiver.crowd.Held(p)
		return n
	}
	ingresstest.Eventually(t, func() bool { return strangers(guard.Files) == spoolFiles/2 }, "strangers hold their half")
	for i := range 5 {
		got := d.sendFrom(t, "198.51.100.7", "evt_large_"+strconv.Itoa(i), 2<<20)
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	require.LessOrEqual(t, strangers(guard.Files), int64(spoolFiles/2))
	require.LessOrEqual(t, strangers(guard.Buffers), int64(memoryBuffers/2))
	require.LessOrEqual(t, strangers(guard.Places), int64(maxInFlight/2))
}

// TestRestartedIngressServesTheProvider: no address is known, and eight hostile ones
// hold every spool file that strangers may have.
func TestRestartedIngressServesTheProvider(t *testing.T) {
	t.Parallel()
	d := openProxied(t, nil)
	var answers []<-chan string
	for i := range spoolFiles / 2 / strangerBodies {
		answers = append(answers, d.besiege(t, "203.0.113."+strconv.Itoa(i+1), strangerBodies, memoryMax+1))
	}
	ingresstest.Eventually(t, func() bool { return d.held(guard.Files) == spoolFiles/2 }, "strangers hold their half")
	got := d.sendFrom(t, "198.51.100.7", "evt_large", memoryMax+100)
	require.Equal(t, http.StatusOK, got.status, got.body)

	merged := make(chan string, len(answers))
	for _, a := range answers {
		go func() {
			select {
			case answer := <-a:
				merged <- answer
			case <-t.Context().Done():
			}
		}()
	}
	select {
	case answer := <-merged:
		require.Contains(t, answer, "503 Service Unavailable")
		require.Contains(t, answer, string(fault.Overloaded), "one of them lost its place")
	case <-time.After(ingresstest.Patience):
		t.Fatal("none was displaced")
	}
}

// TestDisplacedOverHTTP2: one stream ends, its connection stays.
func TestDisplacedOverHTTP2(t *testing.T) {
	t.Parallel()
	in := openIntake(t, 1<<30)
	entered := make(chan struct{}, 1)
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visit, ok := in.crowd.Enter(guardAddr(r.Header.Get("X-From")), false)
		defer visit.Leave()
		if !ok || r.Method != http.MethodPost {
			return
		}
		p := (&receiver{chunkTime: time.Hour}).paceBody(w, r.Body).endWhenDisplaced(visit)
		entered <- struct{}{}
		_, err := io.Copy(io.Discard, p)
		ended <- err
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	ask := func(method, from string, body io.Reader) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, body)
		require.NoError(t, err)
		r.Header.Set("X-From", from)
		return server.Client().Do(r)
	}
	answered := make(chan *http.Response, 1)
	go func() {
		if res, err := ask(http.MethodPost, "203.0.113.1", body); err == nil {
			answered <- res
		}
	}()
	<-entered
	// Until no place is left, and often enough then: each newcomer looks at some
	// strangers only, so that one alone may well not find the address with the most.
	for i := range maxInFlight {
		visit, _ := in.crowd.Enter(guardAddr("203.0.113.1"), false)
		defer visit.Leave()
		other, _ := in.crowd.Enter(guardAddr("198.51."+strconv.Itoa(i/250)+"."+strconv.Itoa(1+i%250)), false)
		defer other.Leave()
	}
	select {
	case err := <-ended:
		require.True(t, fault.Is(err, fault.Overloaded), "%v", err)
	case <-time.After(ingresstest.Patience):
		t.Fatal("the stream goes on")
	}
	res := <-answered
	require.NoError(t, res.Body.Close())
	require.Equal(t, 2, res.ProtoMajor)
	res, err := ask(http.MethodGet, "198.51.100.1", http.NoBody)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}

// TestProxyThatIsNotDeclaredIsTold by whatever listener it stands before.
func TestProxyThatIsNotDeclaredIsTold(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	require.Equal(t, http.StatusOK, d.sendFrom(t, "198.51.100.7", "evt_1", 200).status)
	require.Contains(t, d.log.String(), "ingress.undeclared_proxy")
	require.EqualValues(t, 1, d.server.undeclared.Total())
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_2")).status)
	require.EqualValues(t, 1, d.server.undeclared.Total())
}
