package access

import "net/http"

// PagePolicy is the Content-Security-Policy of our pages: everything comes from
// us, nothing is inline, and no other page frames them.
const PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// SetPagePolicy sets the headers of an answer that a browser shows as a page of ours.
func SetPagePolicy(h http.Header) {
	h.Set("Content-Security-Policy", PagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	// Not no-referrer: browsers would send "Origin: null" with our own forms.
	h.Set("Referrer-Policy", "same-origin")
}
