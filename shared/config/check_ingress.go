package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The schemes that have rules of their own here.
const (
	schemeNone     = "none"
	schemeHeader   = "timestamp-hmac-header"
	schemeStandard = "standard-webhooks"
)

// Bounds of durations, which a JSON Schema cannot express.
const (
	maxTolerance    = 24 * time.Hour
	maxBackpressure = 7 * 24 * time.Hour
	maxThrottle     = 24 * time.Hour
	minHSTS         = time.Second
	minGrace        = time.Minute
	maxGrace        = 30 * 24 * time.Hour
)

// versionsOf lists the versions of signatures of the schemes that have any.
func versionsOf(scheme string) []string {
	switch scheme {
	case "timestamp-hmac":
		return []string{"plain", "v1", "sha256"}
	case schemeHeader:
		return []string{"v1"}
	case schemeStandard:
		return []string{"v1", "v1a"}
	}
	return nil
}

// checkSource checks that the settings of a source fit together.
func (c *checker) checkSource(s Source, i int) {
	open := slices.Contains(s.Schemes, schemeNone)
	switch {
	case open && len(s.Schemes) > 1:
		c.add("lists none with others, which would then protect nothing; none must be the only scheme", "sources", i, "schemes")
	case open && len(s.Secrets) > 0:
		c.add("has no effect: the scheme none uses no secret", "sources", i, "secrets")
	case !open && len(s.Secrets) == 0:
		c.add("is missing", "sources", i, "secrets")
	}

	if open && !s.Insecure {
		c.add("must be true with the scheme none, which accepts requests from any caller", "sources", i, "insecure")
	}
	if s.Insecure && !open && len(s.Schemes) > 0 {
		c.add("belongs to the scheme none, which the source does not list", "sources", i, "insecure")
	}

	if s.SignatureHeader != "" && !slices.Contains(s.Schemes, schemeHeader) {
		c.add("belongs to the scheme "+schemeHeader+", which the source does not list", "sources", i, "signature_header")
	}
	for j, version := range s.SignatureVersions {
		if !slices.ContainsFunc(s.Schemes, func(scheme string) bool { return slices.Contains(versionsOf(scheme), version) }) {
			c.add(fmt.Sprintf("%q is a version that no scheme of the source has", version), "sources", i, "signature_versions", j)
		}
	}

	if s.Limit.Rate > 0 && s.Limit.Burst > 0 && s.Limit.Burst < s.Limit.Rate {
		c.add(fmt.Sprintf("must be at least the rate, %d", s.Limit.Rate), "sources", i, "limit", "burst")
	}
	if s.Limit.Rate == 0 && s.Limit.Burst > 0 {
		c.add("needs a rate", "sources", i, "limit", "burst")
	}

	if s.Tolerance > maxTolerance {
		c.add(fmt.Sprintf("must be at most %s", short(maxTolerance)), "sources", i, "tolerance")
	}
	for j, text := range s.AllowFrom {
		if problem := checkNetwork(text); problem != "" {
			c.add(problem, "sources", i, "allow_from", j)
		}
	}
}

// checkIngress checks that the settings of the ingress fit together and fit the sources.
func (c *checker) checkIngress(f *File) {
	in := f.Ingress
	for j, text := range in.TrustedProxies {
		if problem := checkNetwork(text); problem != "" {
			c.add(problem, "ingress", "trusted_proxies", j)
		}
		if strings.HasSuffix(text, "/0") {
			c.add("would trust X-Forwarded-For from every address", "ingress", "trusted_proxies", j)
		}
	}

	tls := in.TLS.Certificate != ""
	strict := in.PlainHTTP == "redirect" || in.PlainHTTP == "refuse"
	if in.HSTS > 0 && !tls && !strict {
		c.add("needs TLS: set tls, or plain_http to redirect or refuse behind a proxy that ends TLS", "ingress", "hsts")
	}
	if in.HSTS > 0 && in.HSTS < minHSTS {
		c.add(fmt.Sprintf("must be at least %s", minHSTS), "ingress", "hsts")
	}

	if in.TLS.PlainListen != "" && !strict {
		c.add("needs plain_http to be redirect or refuse", "ingress", "tls", "plain_listen")
	}
	if strict && !tls && len(in.TrustedProxies) == 0 {
		c.add(fmt.Sprintf("%s needs tls, or trusted_proxies whose X-Forwarded-Proto tells how a request came", in.PlainHTTP),
			"ingress", "plain_http")
	}

	if in.Backpressure.Age > maxBackpressure {
		c.add(fmt.Sprintf("must be at most %s", short(maxBackpressure)), "ingress", "backpressure", "age")
	}
	if in.Throttle.Per > maxThrottle {
		c.add(fmt.Sprintf("must be at most %s", short(maxThrottle)), "ingress", "throttle", "per")
	}
	if grace := f.Secrets.Grace; grace != 0 && (grace < minGrace || grace > maxGrace) {
		c.add(fmt.Sprintf("must be from %s to %s", short(minGrace), short(maxGrace)), "secrets", "grace")
	}

	spool := cmp.Or(in.Spool, defaultSpool)
	for i, s := range f.Sources {
		if cmp.Or(s.MaxBody, defaultMaxBody) > spool {
			c.add(fmt.Sprintf("is more than ingress.spool holds, %s", spool), "sources", i, "max_body")
		}
	}
}

// checkNetwork returns what is wrong with a network, which is written in its canonical form.
func checkNetwork(text string) string {
	address, single := netip.ParseAddr(text)
	prefix, err := netip.ParsePrefix(text)
	if single == nil {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	switch {
	case err != nil:
		return "must be an IP address or a network such as 10.0.0.0/8 or 2001:db8::/32"
	case prefix.Addr().Is4In6():
		return "is an IPv4 address in IPv6 notation; write it as IPv4"
	case prefix != prefix.Masked():
		return fmt.Sprintf("has bits set beyond its mask; the network is %s", prefix.Masked())
	}
	return ""
}

// short renders whole hours without minutes and seconds.
func short(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}
