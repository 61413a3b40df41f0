package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// ErrRefused is in the chain of the error of every refused dial. No packet was sent.
var ErrRefused = errors.New("address refused")

// dialTimeout bounds lookup and connect together.
const dialTimeout = 5 * time.Second

// Dialer returns a dialer that refuses what Check refuses.
func Dialer(allowPrivate bool) *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: Control(allowPrivate)}
}

// Control is a net.Dialer.Control that refuses what Check refuses, and every
// network but TCP.
func Control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: network %s", ErrRefused, network)
		}
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: not an address with a port", ErrRefused)
		}
		return Check(a.Addr(), allowPrivate)
	}
}

// Check returns an error with ErrRefused in its chain unless addr may be called. The
// error names the kind of address. allowPrivate allows loopback, private (RFC 1918, RFC
// 4193) and shared (RFC 6598) addresses. Link-local, metadata, multicast and reserved
// addresses are always refused.
func Check(addr netip.Addr, allowPrivate bool) error {
	k := kindOf(addr)
	if k == public || (k == private && allowPrivate) || (k == loopback && allowPrivate) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s", ErrRefused, addr, k)
}

// CheckHost is Check for the host of a URL, where its address is known without a lookup:
// a literal address, or localhost and names below it (RFC 6761 §6.3). Other names pass;
// they are checked when they are dialled.
func CheckHost(host string, allowPrivate bool) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		if allowPrivate {
			return nil
		}
		return fmt.Errorf("%w: %s is %s", ErrRefused, name, loopback)
	}

	addr, err := netip.ParseAddr(name)
	if err != nil {
		return nil //nolint:nilerr // a name
	}
	return Check(addr, allowPrivate)
}
