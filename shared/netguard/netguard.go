// Package netguard keeps Mailroom's own calls away from addresses that nobody
// outside may reach through it: loopback, private networks, link-local and the
// metadata services of clouds.
//
// Invariants: the check is on the address that is about to be dialled, after
// every lookup, so a name that changes its mind between check and call gains
// nothing; what is not known to be a public unicast address is refused; IPv4
// inside IPv6 is judged as IPv4.
package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused is in the chain of every dial that the guard stopped. No packet was
// sent then.
var ErrRefused = errors.New("address refused")

// Config says how strict a guard is.
type Config struct {
	// AllowPrivate opens loopback, private (RFC 1918, RFC 4193) and carrier-grade
	// NAT (RFC 6598) addresses. Link-local, metadata, multicast and reserved
	// addresses stay closed whatever it says.
	AllowPrivate bool
	// Timeout bounds lookup and connect together; zero: 5 s.
	Timeout time.Duration
}

const defaultTimeout = 5 * time.Second

// Dialer gives a dialer that refuses what Check refuses.
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

// Check gives an error with ErrRefused in its chain unless addr may be called.
// The error names the kind of address.
func Check(addr netip.Addr, allowPrivate bool) error {
	k := kindOf(addr)
	if k == public || (k == private && allowPrivate) || (k == loopback && allowPrivate) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s", ErrRefused, addr, k)
}
