package guard

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What config.Ingress.PlainHTTP may say.
const (
	plainAccept   = "accept"
	plainRedirect = "redirect"
	plainRefuse   = "refuse"
)

// maxHost is the longest name in DNS (RFC 1035 §2.3.4) with a port.
const maxHost = 255 + len(":65535")

// PlainConfig says what becomes of requests that did not come over TLS.
type PlainConfig struct {
	Mode    string        // accept, redirect or refuse
	HSTS    time.Duration // max-age on answers over TLS; under a second: none
	Proxies *Proxies
	// TLSAddress is where we take TLS ourselves, for the port of redirects; empty:
	// a proxy does it, on the usual port.
	TLSAddress string
	// Names, when set, reports whether a host is ours; to others nobody is redirected.
	Names func(host string) bool
	// Refuse answers with fault.TLSRequired.
	Refuse func(w http.ResponseWriter, r *http.Request)
}

// Plain lets requests over TLS through to next, with Strict-Transport-Security
// (RFC 6797 §7.2: on no other), and does with the others what c.Mode says, without
// reading their bodies. /healthz and /readyz always go through, because balancers
// ask over plain HTTP.
func Plain(c PlainConfig, next http.Handler) (http.Handler, error) {
	if c.Proxies == nil || c.Refuse == nil || next == nil {
		return nil, errors.New("plain http: Proxies, Refuse and a next handler are required")
	}
	switch c.Mode {
	case plainAccept, plainRedirect, plainRefuse:
	default:
		return nil, fmt.Errorf("plain_http %q is none of accept, redirect and refuse", c.Mode)
	}
	port, err := tlsPort(c.TLSAddress)
	if err != nil {
		return nil, err
	}
	hsts := ""
	if c.HSTS >= time.Second {
		hsts = "max-age=" + strconv.FormatInt(int64(c.HSTS/time.Second), 10)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Proxies.Secure(r) {
			if hsts != "" {
				w.Header().Set("Strict-Transport-Security", hsts)
			}
			next.ServeHTTP(w, r)
			return
		}
		if c.Mode == plainAccept || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close") // the body is not worth reading
		host, ok := redirectHost(r, port, c.Names)
		if c.Mode == plainRefuse || !ok {
			c.Refuse(w, r)
			return
		}
		target := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: asciiOnly(r.URL.RawQuery)}
		w.Header().Set("Location", target.String())
		w.Header().Set("Cache-Control", "no-store") // nobody's Host header becomes anybody else's answer
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusPermanentRedirect)
	}), nil
}

// tlsPort gives the port of a listener's address as a URL needs it: none for 443.
func tlsPort(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("tls address: %w", err)
	}
	n, err := net.LookupPort("tcp", port) // a listener's port may be a name
	if err != nil || n == 0 {
		return "", fmt.Errorf("tls address %q has no port for URLs", address)
	}
	if n == 443 {
		return "", nil
	}
	return strconv.Itoa(n), nil
}

// redirectHost gives the authority of a redirect: the host that was asked, if it is
// a DNS name or an address and nothing more, with port.
func redirectHost(r *http.Request, port string, names func(string) bool) (string, bool) {
	if r.Method == http.MethodConnect || len(r.Host) > maxHost {
		return "", false
	}
	host := r.Host
	if name, asked, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(asked, 10, 16); err != nil {
			return "", false
		}
		if host = name; strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		if inner, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return "", false
		}
		addr, err := netip.ParseAddr(inner)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
	} else if !isHostName(host) {
		return "", false
	}
	if names != nil && !names(inner) {
		return "", false
	}
	if port != "" {
		return host + ":" + port, true
	}
	return host, true
}

// isHostName accepts labels of letters, digits, - and _ with dots between them; an
// IPv4 address is one.
func isHostName(host string) bool {
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// asciiOnly escapes what a header must not carry.
func asciiOnly(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
