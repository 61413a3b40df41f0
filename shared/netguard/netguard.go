// Package netguard protects internal addresses against requests that Mailroom sends to
// configured or foreign URLs: loopback, private networks, link-local addresses and the
// metadata services of clouds.
//
// Invariants: the check is on the address that is dialled, after each lookup, so a name
// that resolves differently the second time (DNS rebinding) is checked too; an address
// that is not known to be public unicast is refused; IPv4 inside IPv6 is checked as
// IPv4.
//
// Read next: activities/downstream/destination.go dials with it.
package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused is in the chain of the error of every refused dial. No packet was sent.
var ErrRefused = errors.New("address refused")

// Config has the settings of a guarded dialer.
type Config struct {
	// AllowPrivate allows loopback, private (RFC 1918, RFC 4193) and shared (RFC 6598)
	// addresses. Link-local, metadata, multicast and reserved addresses are always
	// refused.
	AllowPrivate bool
	// Timeout bounds lookup and connect together; zero: 5 s.
	Timeout time.Duration
}

const defaultTimeout = 5 * time.Second

// Dialer returns a dialer that refuses what Check refuses.
func Dialer(c Config) *net.Dialer {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	return &net.Dialer{Timeout: c.Timeout, KeepAlive: 30 * time.Second, Control: Control(c.AllowPrivate)}
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
// error names the kind of address.
func Check(addr netip.Addr, allowPrivate bool) error {
	k := kindOf(addr)
	if k == public || (k == private && allowPrivate) || (k == loopback && allowPrivate) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s", ErrRefused, addr, k)
}
