package netguard

import (
	"encoding/binary"
	"net/netip"
)

// kind is the purpose of an address.
type kind string

const (
	public    kind = "public"
	loopback  kind = "loopback"
	private   kind = "private"
	linkLocal kind = "link-local"
	metadata  kind = "a metadata service"
	reserved  kind = "reserved"
)

// kindOf classifies addr. IPv4 inside IPv6 is classified as IPv4.
func kindOf(addr netip.Addr) kind {
	if !addr.IsValid() || addr.Zone() != "" {
		return reserved
	}
	addr = addr.Unmap()
	if isMetadata(addr) {
		return metadata
	}
	if addr.Is4() {
		return kindOf4(addr)
	}
	return kindOf6(addr)
}

// isMetadata reports whether a is the well-known address of a cloud's metadata service,
// or one in a range that AllowPrivate allows.
func isMetadata(a netip.Addr) bool {
	switch a.String() {
	case "169.254.169.254", // AWS, Google, Azure and most others
		"169.254.170.2",   // AWS ECS
		"100.100.100.200", // Alibaba
		"192.0.0.192",     // Oracle
		"fd00:ec2::254",   // AWS over IPv6
		"fd20:ce::254":    // Google over IPv6
		return true
	}
	return false
}

// kindOf4 follows the IANA IPv4 Special-Purpose Address Registry.
func kindOf4(a netip.Addr) kind {
	n := binary.BigEndian.Uint32(a.AsSlice())
	in := func(base uint32, bits uint) bool { return n>>(32-bits) == base>>(32-bits) }
	switch {
	case in(0x7f000000, 8): // 127.0.0.0/8
		return loopback
	case in(0x0a000000, 8), // 10.0.0.0/8
		in(0xac100000, 12), // 172.16.0.0/12
		in(0xc0a80000, 16), // 192.168.0.0/16
		in(0x64400000, 10): // 100.64.0.0/10
		return private
	case in(0xa9fe0000, 16): // 169.254.0.0/16
		return linkLocal
	case in(0x00000000, 8), // 0.0.0.0/8, which reaches loopback on Linux
		in(0xc0000000, 24), // 192.0.0.0/24
		in(0xc0000200, 24), // 192.0.2.0/24, documentation
		in(0xc0586300, 24), // 192.88.99.0/24, 6to4 relay
		in(0xc6120000, 15), // 198.18.0.0/15, benchmarks
		in(0xc6336400, 24), // 198.51.100.0/24, documentation
		in(0xcb007100, 24), // 203.0.113.0/24, documentation
		in(0xe0000000, 3):  // 224.0.0.0/3, multicast, reserved and broadcast
		return reserved
	}

	return public
}

// kindOf6 follows the IANA IPv6 Special-Purpose Address Registry: outside of 2000::/3
// everything is reserved unless it is named here.
func kindOf6(a netip.Addr) kind {
	b := a.As16()
	prefix := func(p string) bool { return netip.MustParsePrefix(p).Contains(a) }
	switch {
	case a.IsLoopback():
		return loopback
	case prefix("fc00::/7"):
		return private
	case prefix("fe80::/10"):
		return linkLocal
	case prefix("64:ff9b::/96"): // NAT64, RFC 6052 §2.1
		return kindOf(netip.AddrFrom4([4]byte(b[12:16])))
	case prefix("2002::/16"): // 6to4, RFC 3056 §2
		return kindOf(netip.AddrFrom4([4]byte(b[2:6])))
	case !prefix("2000::/3"), // also IPv4-compatible, IPv4-translated, site-local, multicast, 64:ff9b:1::/48
		prefix("2001::/23"),     // IETF protocol assignments with Teredo, ORCHID
		prefix("2001:db8::/32"), // documentation
		prefix("3fff::/20"):     // documentation
		return reserved
	}

	return public
}
