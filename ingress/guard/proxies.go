package guard

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Bounds of X-Forwarded-For. Addresses further left than maxHops, and all to the
// left of an entry longer than maxEntry, are nobody's.
const (
	maxHops  = 32
	maxEntry = 80
)

// Proxies are the networks whose word about a request's origin is believed. The
// zero value believes nobody.
type Proxies struct{ networks []netip.Prefix }

// NewProxies reads networks and single addresses, as in config.Ingress.TrustedProxies.
func NewProxies(networks []string) (*Proxies, error) {
	list, err := parseNetworks(networks)
	if err != nil {
		return nil, fmt.Errorf("trusted_proxies: %w", err)
	}
	return &Proxies{networks: list}, nil
}

// Trusts reports whether addr is one of the proxies.
func (p *Proxies) Trusts(addr netip.Addr) bool { return contains(p.networks, addr) }

// Client is the address that a request comes from: that of the connection, or,
// where a trusted proxy holds the connection, the nearest address in
// X-Forwarded-For that is no trusted proxy. Where the header stops making sense
// the last proxy before that counts. IPv4 inside IPv6 is given as IPv4, and no
// address has a zone. A connection without an address, as of a Unix socket, gives
// the zero Addr.
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

// Secure reports whether the client used TLS: to us, or, as the trusted proxy next
// to us says, to it.
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

// peer is the address of the other end of the connection.
func peer(r *http.Request) netip.Addr { return hostOf(r.RemoteAddr) }

// hostOf gives the address in "address:port", the zero Addr where there is none.
func hostOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// cutLast splits a list at its last comma.
func cutLast(list string) (rest, last string, more bool) {
	at := strings.LastIndexByte(list, ',')
	if at < 0 {
		return "", list, false
	}
	return list[:at], list[at+1:], true
}

// parseHop reads one entry of X-Forwarded-For: an address, as some proxies write
// it with a port or in brackets.
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

// parseNetworks reads networks and addresses. IPv4 networks inside IPv6 become IPv4.
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
