package guard

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openProxies(t testing.TB, networks ...string) *Proxies {
	t.Helper()
	p, err := NewProxies(networks)
	require.NoError(t, err)
	return p
}

func TestClient(t *testing.T) {
	t.Parallel()
	trusted := openProxies(t, "10.0.0.0/8", "192.0.2.1", "2001:db8:aa::/48", "::ffff:172.16.0.0/108")
	none := openProxies(t)

	for name, c := range map[string]struct {
		proxies *Proxies
		remote  string
		lines   []string
		want    string
	}{
		"no proxy":                          {trusted, "203.0.113.9:1", nil, "203.0.113.9"},
		"stranger claims an address":        {trusted, "203.0.113.9:1", []string{"198.51.100.7"}, "203.0.113.9"},
		"stranger claims a proxy":           {trusted, "203.0.113.9:1", []string{"10.0.0.1"}, "203.0.113.9"},
		"no proxy is trusted":               {none, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"loopback is not trusted unsaid":    {none, "127.0.0.1:1", []string{"198.51.100.7"}, "127.0.0.1"},
		"one proxy":                         {trusted, "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"proxy without the header":          {trusted, "10.0.0.1:1", nil, "10.0.0.1"},
		"two proxies":                       {trusted, "10.0.0.1:1", []string{"198.51.100.7, 192.0.2.1"}, "198.51.100.7"},
		"the client's own claim":            {trusted, "10.0.0.1:1", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		"the client claims a trusted chain": {trusted, "10.0.0.1:1", []string{"8.8.8.8, 10.9.9.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"claim in a line of its own":        {trusted, "10.0.0.1:1", []string{"8.8.8.8", "198.51.100.7"}, "198.51.100.7"},
		"lines join in order":               {trusted, "10.0.0.1:1", []string{"198.51.100.7", "10.0.0.3, 10.0.0.2"}, "198.51.100.7"},
		"all trusted":                       {trusted, "10.0.0.1:1", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		"garbage next to us":                {trusted, "10.0.0.1:1", []string{"8.8.8.8, unknown"}, "10.0.0.1"},
		"garbage behind a proxy":            {trusted, "10.0.0.1:1", []string{"8.8.8.8, -, 10.0.0.2"}, "10.0.0.2"},
		"garbage behind the client":         {trusted, "10.0.0.1:1", []string{"<script>, 198.51.100.7"}, "198.51.100.7"},
		"an empty entry":                    {trusted, "10.0.0.1:1", []string{"8.8.8.8,,10.0.0.2"}, "10.0.0.2"},
		"an empty line":                     {trusted, "10.0.0.1:1", []string{"8.8.8.8", ""}, "10.0.0.1"},
		"a host name":                       {trusted, "10.0.0.1:1", []string{"8.8.8.8, localhost"}, "10.0.0.1"},
		"octal":                             {trusted, "10.0.0.1:1", []string{"8.8.8.8, 0177.0.0.1"}, "10.0.0.1"},
		"address with port":                 {trusted, "10.0.0.1:1", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		"IPv6":                              {trusted, "[2001:db8:aa::1]:1", []string{"2001:db8:bb::7"}, "2001:db8:bb::7"},
		"IPv6 in brackets":                  {trusted, "[2001:db8:aa::1]:1", []string{"[2001:db8:bb::7]"}, "2001:db8:bb::7"},
		"IPv6 in brackets with port":        {trusted, "10.0.0.1:1", []string{"[2001:db8:bb::7]:99"}, "2001:db8:bb::7"},
		"IPv4 in brackets":                  {trusted, "10.0.0.1:1", []string{"[198.51.100.7]"}, "10.0.0.1"},
		"IPv4 inside IPv6, peer":            {trusted, "[::ffff:10.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"IPv4 inside IPv6, hop":             {trusted, "10.0.0.1:1", []string{"198.51.100.7, ::ffff:10.0.0.2"}, "198.51.100.7"},
		"IPv4 inside IPv6, network":         {trusted, "172.16.1.1:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"zones are dropped":                 {trusted, "10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		"zone of the peer":                  {trusted, "[fe80::1%eth0]:1", nil, "fe80::1"},
		"too many hops":                     {trusted, "10.0.0.1:1", []string{"8.8.8.8" + strings.Repeat(",10.0.0.2", maxHops)}, "10.0.0.2"},
		"as many hops as allowed":           {trusted, "10.0.0.1:1", []string{"8.8.8.8" + strings.Repeat(",10.0.0.2", maxHops-1)}, "8.8.8.8"},
		"a long entry":                      {trusted, "10.0.0.1:1", []string{"8.8.8.8," + strings.Repeat("0", maxEntry+1)}, "10.0.0.1"},
		"Unix socket":                       {trusted, "@", []string{"8.8.8.8"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.lines}}
			got := c.proxies.Client(r)
			if c.want == "" {
				require.False(t, got.IsValid())
				return
			}
			require.Equal(t, netip.MustParseAddr(c.want), got)
		})
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	p := openProxies(t, "10.0.0.0/8")

	for name, c := range map[string]struct {
		tls    bool
		remote string
		lines  []string
		want   bool
	}{
		"our own TLS":                      {tls: true, remote: "203.0.113.9:1", lines: []string{"http"}, want: true},
		"plain":                            {remote: "203.0.113.9:1"},
		"a stranger's word":                {remote: "203.0.113.9:1", lines: []string{"https"}},
		"a proxy's word":                   {remote: "10.0.0.1:1", lines: []string{"HTTPS "}, want: true},
		"a proxy says plain":               {remote: "10.0.0.1:1", lines: []string{"http"}},
		"a proxy says nothing":             {remote: "10.0.0.1:1"},
		"the client's claim in front":      {remote: "10.0.0.1:1", lines: []string{"https, http"}},
		"the client's claim in a line":     {remote: "10.0.0.1:1", lines: []string{"https", "http"}},
		"the nearest proxy's word is last": {remote: "10.0.0.1:1", lines: []string{"http, https"}, want: true},
		"something like it":                {remote: "10.0.0.1:1", lines: []string{"httpsx"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-Proto": c.lines}}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			require.Equal(t, c.want, p.Secure(r))
		})
	}
}

func TestNewProxiesRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "proxy.example", "10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "::ffff:0.0.0.0/90"} {
		_, err := NewProxies([]string{"10.0.0.1", text})
		require.ErrorContains(t, err, "trusted_proxies", "%q", text)
	}
}

// FuzzClient checks that the client's own X-Forwarded-For, in front of what the proxy
// appends, never changes the address.
func FuzzClient(f *testing.F) {
	f.Add("8.8.8.8", "10.0.0.2")
	f.Add("8.8.8.8, 10.0.0.2,", "")
	f.Add("[::1]:1,,,\x00", "fe80::1%lo")
	f.Fuzz(func(t *testing.T, line, next string) {
		p := openProxies(t, "10.0.0.0/8")
		want := netip.MustParseAddr("198.51.100.7")
		for _, lines := range [][]string{{line, next, want.String()}, {line, next + ", " + want.String() + ", 10.0.0.2"}} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": lines}}
			require.Equal(t, want, p.Client(r))
			r.RemoteAddr = "203.0.113.9:1"
			require.Equal(t, "203.0.113.9", p.Client(r).String())
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {line, next}}}
		got := p.Client(r)
		require.True(t, got.IsValid() && got.Zone() == "" && !got.Is4In6(), "%v", got)
	})
}
