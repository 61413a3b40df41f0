package access

import "net/http"

// PagePolicy is the Content-Security-Policy of the pages: everything is loaded from this
// server, nothing is inline, and no other site may frame them.
const PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// SetPagePolicy sets the security headers of an answer that a browser shows as a page.
func SetPagePolicy(h http.Header) {
	h.Set("Content-Security-Policy", PagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	// Not no-referrer: browsers would then send "Origin: null" with the forms of these pages.
	h.Set("Referrer-Policy", "same-origin")
}
