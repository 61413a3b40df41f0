package netguard

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		always   = "always"
		ifPriv   = "when private is allowed"
		notAtAll = "never"
	)
	for addr, want := range map[string]string{
		"93.184.216.34":            always,
		"8.8.8.8":                  always,
		"172.32.0.1":               always,
		"172.15.255.255":           always,
		"100.128.0.1":              always,
		"100.63.255.255":           always,
		"169.253.0.1":              always,
		"198.20.0.1":               always,
		"223.255.255.255":          always,
		"2606:4700::1111":          always,
		"2a00:1450:4001::1":        always,
		"::ffff:8.8.8.8":           always,
		"64:ff9b::808:808":         always,
		"2002:808:808::1":          always,
		"127.0.0.1":                ifPriv,
		"127.255.255.254":          ifPriv,
		"::1":                      ifPriv,
		"10.0.0.1":                 ifPriv,
		"172.16.0.1":               ifPriv,
		"172.31.255.255":           ifPriv,
		"192.168.1.1":              ifPriv,
		"100.64.0.1":               ifPriv,
		"100.127.255.255":          ifPriv,
		"fc00::1":                  ifPriv,
		"fdff::1":                  ifPriv,
		"::ffff:127.0.0.1":         ifPriv,
		"::ffff:10.0.0.1":          ifPriv,
		"64:ff9b::7f00:1":          ifPriv,
		"64:ff9b::a00:1":           ifPriv,
		"2002:7f00:1::":            ifPriv,
		"0.0.0.0":                  notAtAll,
		"0.1.2.3":                  notAtAll,
		"::":                       notAtAll,
		"::ffff:0.0.0.0":           notAtAll,
		"169.254.169.254":          notAtAll,
		"::ffff:169.254.169.254":   notAtAll,
		"64:ff9b::a9fe:a9fe":       notAtAll,
		"64:ff9b::":                notAtAll,
		"2002:a9fe:a9fe::":         notAtAll,
		"169.254.0.1":              notAtAll,
		"169.254.170.2":            notAtAll,
		"100.100.100.200":          notAtAll,
		"192.0.0.192":              notAtAll,
		"fd00:ec2::254":            notAtAll,
		"fd20:ce::254":             notAtAll,
		"192.0.2.1":                notAtAll,
		"192.88.99.1":              notAtAll,
		"198.18.0.1":               notAtAll,
		"198.19.255.255":           notAtAll,
		"198.51.100.7":             notAtAll,
		"203.0.113.7":              notAtAll,
		"224.0.0.1":                notAtAll,
		"239.255.255.255":          notAtAll,
		"240.0.0.1":                notAtAll,
		"255.255.255.255":          notAtAll,
		"fe80::1":                  notAtAll,
		"fe80::1%eth0":             notAtAll,
		"2606:4700::1111%eth0":     notAtAll,
		"fec0::1":                  notAtAll,
		"ff02::1":                  notAtAll,
		"::127.0.0.1":              notAtAll,
		"::ffff:0:127.0.0.1":       notAtAll,
		"64:ff9b:1::7f00:1":        notAtAll,
		"2001::1":                  notAtAll,
		"2001:db8::1":              notAtAll,
		"3fff::1":                  notAtAll,
		"100::1":                   notAtAll,
		"4000::1":                  notAtAll,
		"5f00::1":                  notAtAll,
		"2001:0:4136:e378:8000::1": notAtAll,
	} {
		a := netip.MustParseAddr(addr)
		strict, lax := Check(a, false), Check(a, true)
		if want == always {
			require.NoError(t, strict, addr)
		} else {
			require.ErrorIs(t, strict, ErrRefused, addr)
		}
		if want == notAtAll {
			require.ErrorIs(t, lax, ErrRefused, addr)
		} else {
			require.NoError(t, lax, addr)
		}
	}
	require.ErrorIs(t, Check(netip.Addr{}, true), ErrRefused)
}

func TestControlRefusesOtherNetworks(t *testing.T) {
	t.Parallel()
	for network, address := range map[string]string{
		"unix": "/run/docker.sock", "udp4": "8.8.8.8:53", "tcp": "8.8.8.8:80", "tcp4": "nonsense",
	} {
		require.ErrorIs(t, Control(true)(network, address, nil), ErrRefused, network)
	}
}

// TestDialerNeverReachesLoopback: no spelling of a host lets a guarded dial reach
// loopback.
func TestDialerNeverReachesLoopback(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- struct{}{}
			_ = c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)

	strict := Dialer(false)
	for _, host := range []string{
		"127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0",
		"::ffff:127.0.0.1", "::ffff:7f00:1", "::", "64:ff9b::7f00:1",
	} {
		c, err := strict.DialContext(context.Background(), "tcp", net.JoinHostPort(host, port))
		require.Error(t, err, host)
		require.Nil(t, c)
	}
	_, err = strict.DialContext(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", port))
	require.ErrorIs(t, err, ErrRefused)
	require.Empty(t, accepted)

	c, err := Dialer(true).DialContext(context.Background(), "tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	<-accepted
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		if Check(a, false) != nil {
			return
		}
		// The oracle: the standard library's own classification.
		u := a.Unmap()
		if !u.IsGlobalUnicast() || u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() {
			t.Fatalf("%s is allowed", a)
		}
	})
}

func TestCheckHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string][2]bool{ // whether it passes without and with private ones
		"mail.example": {true, true}, "localhost.example": {true, true}, "8.8.8.8": {true, true}, "2606:4700::1111": {true, true},
		"localhost": {false, true}, "LocalHost.": {false, true}, "a.localhost": {false, true},
		"127.0.0.1": {false, true}, "127.8.8.8": {false, true}, "10.1.2.3": {false, true}, "192.168.0.9": {false, true},
		"::1": {false, true}, "fd12::1": {false, true}, "::ffff:127.0.0.1": {false, true}, "::ffff:a01:203": {false, true},
		"169.254.169.254": {false, false}, "::ffff:169.254.169.254": {false, false}, "0.0.0.0": {false, false},
		"fe80::1": {false, false}, "fe80::1%eth0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false},
	} {
		require.Equal(t, want, [2]bool{CheckHost(host, false) == nil, CheckHost(host, true) == nil}, host)
	}
}
