package guard

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Bounds of X-Forwarded-For, which is read from right to left. Reading stops after
// maxHops entries, and at an entry longer than maxEntry bytes.
const (
	maxHops  = 32
	maxEntry = 80
)

// Proxies is the set of networks whose proxies are trusted to report where a request
// came from. The zero value trusts no address. It is safe for concurrent use.
type Proxies struct{ networks []netip.Prefix }

// NewProxies parses networks and single addresses, as in config.Ingress.TrustedProxies.
// It returns an error that quotes the first text that is neither.
func NewProxies(networks []string) (*Proxies, error) {
	list, err := parseNetworks(networks)
	if err != nil {
		return nil, fmt.Errorf("trusted_proxies: %w", err)
	}
	return &Proxies{networks: list}, nil
}

// Trusts reports whether addr is the address of a trusted proxy.
func (p *Proxies) Trusts(addr netip.Addr) bool { return contains(p.networks, addr) }

// Client returns the address that a request comes from: the peer's, or, if the peer is a
// trusted proxy, the rightmost address in X-Forwarded-For that is not one. At an entry
// that is not an address, the last proxy before it counts. IPv4-mapped IPv6 addresses are
// returned as IPv4, and zones are removed. Client returns the zero Addr for a connection
// without an address, such as a Unix socket.
func (p *Proxies) Client(r *http.Request) netip.Addr {
	client := peer(r)
	if !p.Trusts(client) {
		return client
	}

	lines := r.Header["X-Forwarded-For"]
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; hops++ {
			var entry string
			rest, entry, more = cutLast(rest)

			addr, ok := parseHop(entry)
			if !ok || hops == maxHops {
				return client
			}
			if client = addr; !p.Trusts(client) {
				return client
			}
		}
	}
	return client
}

// Secure reports whether the client used TLS: on this connection, or, if the peer is a
// trusted proxy, on the connection before it according to the last value of
// X-Forwarded-Proto.
func (p *Proxies) Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	lines := r.Header["X-Forwarded-Proto"]
	if len(lines) == 0 || !p.Trusts(peer(r)) {
		return false
	}
	_, last, _ := cutLast(lines[len(lines)-1])
	return strings.EqualFold(strings.TrimSpace(last), "https")
}

// peer returns the address of the other end of the connection.
func peer(r *http.Request) netip.Addr { return hostOf(r.RemoteAddr) }

// hostOf returns the address in "address:port", or the zero Addr if there is none.
func hostOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

// plain returns addr as IPv4 if it is IPv4-mapped, without a zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// cutLast splits a list at its last comma; more reports whether there was one.
func cutLast(list string) (rest, last string, more bool) {
	at := strings.LastIndexByte(list, ',')
	if at < 0 {
		return "", list, false
	}
	return list[:at], list[at+1:], true
}

// parseHop parses one entry of X-Forwarded-For: an address, alone, with a port or in
// brackets, as different proxies write it.
func parseHop(entry string) (netip.Addr, bool) {
	entry = strings.Trim(entry, " \t")
	if entry == "" || len(entry) > maxEntry {
		return netip.Addr{}, false
	}
	if addr, err := netip.ParseAddr(entry); err == nil {
		return plain(addr), true
	}
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return plain(at.Addr()), true
	}
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return plain(addr), err == nil && addr.Is6()
		}
	}
	return netip.Addr{}, false
}

// parseNetworks parses networks and addresses. IPv4-mapped IPv6 networks become IPv4.
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is neither a network nor an address", text)
			}
			network = netip.PrefixFrom(addr, addr.BitLen())
		}
		if addr := network.Addr(); addr.Is4In6() {
			if network.Bits() < 96 {
				return nil, fmt.Errorf("%q covers more than the IPv4 addresses inside IPv6", text)
			}
			network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96)
		}
		list = append(list, network.Masked())
	}
	return list, nil
}

// contains reports whether addr is in one of networks; the zero Addr is in none.
func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}
