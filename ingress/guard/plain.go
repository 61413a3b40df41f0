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

// The values of config.Ingress.PlainHTTP.
const (
	plainAccept   = "accept"
	plainRedirect = "redirect"
	plainRefuse   = "refuse"
)

// maxHost is the longest name in DNS (RFC 1035 section 2.3.4) with a port.
const maxHost = 255 + len(":65535")

// PlainConfig configures Plain.
type PlainConfig struct {
	Mode    string        // accept, redirect or refuse
	HSTS    time.Duration // max-age on answers over TLS; no header below one second
	Proxies *Proxies      // required
	// TLSAddress is the address of this process's TLS listener, for the port of
	// redirects. If it is empty a proxy terminates TLS on port 443.
	TLSAddress string
	// Names, if set, reports whether a host belongs to this server. A request for any
	// other host is refused instead of redirected.
	Names func(host string) bool
	// Refuse answers a request with the fault tls_required. It is required.
	Refuse func(w http.ResponseWriter, r *http.Request)
}

// Plain returns a handler that passes requests over TLS to next and accepts, redirects
// (308) or refuses the others as c.Mode says, without reading their bodies. Answers over
// TLS have Strict-Transport-Security, others do not (RFC 6797 section 7.2). /healthz and
// /readyz always pass, because load balancers ask over plain HTTP. Plain returns an error
// if a required field is missing, the mode is unknown, or TLSAddress has no port.
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

		w.Header().Set("Connection", "close") // the body is not read
		host, ok := redirectHost(r, port, c.Names)
		if c.Mode == plainRefuse || !ok {
			c.Refuse(w, r)
			return
		}

		target := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: asciiOnly(r.URL.RawQuery)}
		w.Header().Set("Location", target.String())
		w.Header().Set("Cache-Control", "no-store") // a cache must not return it to other clients: it echoes the Host header
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusPermanentRedirect)
	}), nil
}

// tlsPort returns the port of a listener's address for use in a URL, empty for 443.
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

// redirectHost returns the authority of a redirect: the host of the request, with port
// in place of its own. It returns false if the host is not a plain DNS name or IP
// address, or if names does not accept it.
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

// isHostName reports whether host consists of labels of letters, digits, - and _ with
// dots between them, each of at most 63 bytes (RFC 1035 section 2.3.4). An IPv4 address
// is one.
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

// asciiOnly percent-encodes the bytes of query that a header must not contain: control
// characters, spaces and bytes beyond ASCII.
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
